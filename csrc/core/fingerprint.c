// FNV-1a (Fowler, Noll & Vo 1991) on words of 64 bits instead of bytes:
//
//     hash = (hash ^ word) * prime
//
// A product waits for the one before it, so eight hashes take turns, and are hashed at the end.
#include "fingerprint.h"

#include <string.h>

enum { LANES = 8 };
static const uint64_t PRIME = 0x100000001B3u;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * PRIME;
    return hash ^ (hash >> 32); // the product carries upwards only
}

uint64_t ml_fingerprint(uint64_t before, const void *data, size_t bytes)
{
    const char *at = data;
    uint64_t hash[LANES], words[LANES], result = mix(before, bytes);
    for (int i = 0; i < LANES; i++)
        hash[i] = (uint64_t)i;
    size_t left = bytes;
    for (; left >= sizeof words; left -= sizeof words, at += sizeof words) {
        memcpy(words, at, sizeof words);
        for (int i = 0; i < LANES; i++)
            hash[i] = mix(hash[i], words[i]);
    }
    memset(words, 0, sizeof words);
    memcpy(words, at, left);
    for (int i = 0; i < LANES; i++)
        result = mix(result, mix(hash[i], words[i]));
    return result;
}
