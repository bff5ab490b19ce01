// As in FNV-1a (Fowler, Noll & Vo 1991), but on words of 64 bits instead of bytes, turned so that
// high bits reach the low ones, which the product alone does not do:
//
//     hash = rotate(hash ^ word) * prime
//
// A product waits for the one before it, so eight hashes take turns, and are hashed at the end.
#include "fingerprint.h"

#include <string.h>

#include "pool.h"

enum { LANES = 8, LINE = LANES * 8, BLOCK = 1 << 20, BLOCKS = 64 };
static const uint64_t PRIME = 0x9E3779B97F4A7C15u; // odd: a product with it loses nothing

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash ^= word;
    return (hash << 29 | hash >> 35) * PRIME;
}

static uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t hash_block(const char *at, size_t bytes)
{
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8; // not an array: registers
    for (; bytes >= LINE; bytes -= LINE, at += LINE) {
        a = mix(a, word_at(at)), b = mix(b, word_at(at + 8));
        c = mix(c, word_at(at + 16)), d = mix(d, word_at(at + 24));
        e = mix(e, word_at(at + 32)), f = mix(f, word_at(at + 40));
        g = mix(g, word_at(at + 48)), h = mix(h, word_at(at + 56));
    }
    char rest[LINE] = {0};
    memcpy(rest, at, bytes);
    const uint64_t lanes[LANES] = {a, b, c, d, e, f, g, h};
    uint64_t result = bytes;
    for (int i = 0; i < LANES; i++)
        result = mix(mix(result, lanes[i]), word_at(rest + 8 * i));
    return result;
}

typedef struct hash_job {
    const char *data;
    size_t bytes;
    uint64_t hash[BLOCKS]; // of each block
} hash_job;

static void hash_one(void *ctx, size_t index)
{
    hash_job *job = ctx;
    size_t begin = index * BLOCK, left = job->bytes - begin;
    job->hash[index] = hash_block(job->data + begin, left < BLOCK ? left : BLOCK);
}

uint64_t ml_fingerprint(uint64_t before, const void *data, size_t bytes)
{
    uint64_t result = mix(before, bytes);
    const char *at = data;
    for (size_t left = bytes; left > 0;) {
        size_t taken = left < (size_t)BLOCKS * BLOCK ? left : (size_t)BLOCKS * BLOCK;
        size_t blocks = (taken + BLOCK - 1) / BLOCK;
        hash_job job = {.data = at, .bytes = taken};
        ml_parallel_for(blocks, hash_one, &job);
        for (size_t i = 0; i < blocks; i++)
            result = mix(result, job.hash[i]);
        at += taken;
        left -= taken;
    }
    return result;
}
