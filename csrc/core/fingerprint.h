// Has this array changed? A number of 64 bits that is another one when it has.
#ifndef ML_FINGERPRINT_H
#define ML_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

// The fingerprint of `bytes` of data, going on from that of what came before it (at first any number).
// A change within one word of eight bytes is always seen; others go unseen once in 2^64. As fast as
// memory is read. Not for data that somebody forges.
uint64_t ml_fingerprint(uint64_t before, const void *data, size_t bytes);

#endif
