// n(h)   how often context h was followed by a token
// t(h)   by how many different tokens
// c(h w) how often by w
//
//     p(w | h) = (c(h w) + t(h) p(w | h')) / (n(h) + t(h))
//
// where h' is h without its oldest token; a context never seen leaves everything to h', and below
// the empty context lies 1 / V. The n-grams form a tree: the child w of node h is node hw. A text
// is read with one node for each length of context, so a token costs one lookup per length.
#include "ngram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 0, FIRST_NODES = 1024 };
#define MISSING UINT32_MAX // the node of a context that was never seen

typedef struct node {
    uint32_t parent, token;  // the key: exact, so that no two n-grams can be taken for one
    uint32_t count;          // c(parent token)
    uint32_t total, types;   // n and t of this node as a context
    uint32_t child, sibling; // the tokens seen after it, as a list; ROOT ends it
} node;

struct ml_ngram {
    size_t order, vocab;
    node *nodes; // (capacity,), of which `size` are used; nodes[ROOT] is the empty context
    size_t size, capacity;
    uint32_t *slots; // (2 capacity,): hash table of nodes by key, open addressing; ROOT is empty
};

// The contexts at a place in a text, for lengths k = 0 .. longest.
typedef struct reader {
    uint32_t *node; // (order,): node[k] is the context of the last k tokens
    uint32_t *next; // (order,): next[k] is node[k] followed by the token that is being read
    size_t longest;
} reader;

// ---- the table of nodes -----------------------------------------------------------------------

// Where the search for (parent, token) begins: the bits of the key mixed by the finalizer of
// SplitMix64 (Steele, Lea & Flood 2014). The number of slots is a power of 2.
static size_t home_slot(const ml_ngram *m, uint32_t parent, uint32_t token)
{
    uint64_t z = (uint64_t)parent << 32 | token;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (size_t)(z ^ (z >> 31)) & (2 * m->capacity - 1);
}

// The slot that holds (parent, token), or the empty one where it belongs.
static uint32_t *find_slot(const ml_ngram *m, uint32_t parent, uint32_t token)
{
    size_t slot = home_slot(m, parent, token);
    for (;;) {
        uint32_t at = m->slots[slot];
        if (at == ROOT || (m->nodes[at].parent == parent && m->nodes[at].token == token))
            return &m->slots[slot];
        slot = (slot + 1) & (2 * m->capacity - 1);
    }
}

static uint32_t find_child(const ml_ngram *m, uint32_t parent, uint32_t token)
{
    if (parent == MISSING)
        return MISSING;
    uint32_t child = *find_slot(m, parent, token);
    return child == ROOT ? MISSING : child;
}

// Makes room for twice as many nodes; nothing changes when there is no memory.
static int grow(ml_ngram *m, ml_error *err)
{
    size_t capacity = m->capacity == 0 ? FIRST_NODES : 2 * m->capacity;
    if (capacity > UINT32_MAX || capacity > SIZE_MAX / sizeof(node))
        return ml_fail(err, ML_ERR_OVERFLOW, "ngram: more than %zu different n-grams", m->capacity);
    node *nodes = realloc(m->nodes, capacity * sizeof *nodes);
    if (nodes != NULL)
        m->nodes = nodes;
    uint32_t *slots = nodes != NULL ? calloc(2 * capacity, sizeof *slots) : NULL;
    if (slots == NULL)
        return ml_fail(err, ML_ERR_MEMORY,
                       "ngram: no memory for %zu n-grams; a lower order needs less", capacity);
    free(m->slots);
    m->slots = slots;
    m->capacity = capacity;
    for (size_t i = ROOT + 1; i < m->size; i++)
        *find_slot(m, m->nodes[i].parent, m->nodes[i].token) = (uint32_t)i;
    return ML_OK;
}

static int add_child(ml_ngram *m, uint32_t parent, uint32_t token, uint32_t *child, ml_error *err)
{
    *child = *find_slot(m, parent, token);
    if (*child != ROOT)
        return ML_OK;
    if (m->size == m->capacity && grow(m, err) != ML_OK)
        return err->code;
    *child = (uint32_t)m->size++;
    *find_slot(m, parent, token) = *child;
    m->nodes[*child] = (node){.parent = parent, .token = token, .sibling = m->nodes[parent].child};
    m->nodes[parent].child = *child;
    m->nodes[parent].types++;
    return ML_OK;
}

// ---- reading a text ---------------------------------------------------------------------------

static int check_ids(const ml_ngram *m, const int64_t *ids, size_t begin, size_t end, ml_error *err)
{
    for (size_t i = begin; i < end; i++)
        if (ids[i] < 0 || (uint64_t)ids[i] >= m->vocab)
            return ml_fail(err, ML_ERR_INDEX,
                           "ids[%zu] = %lld: expected 0 to %zu, as the vocabulary has %zu tokens",
                           i, (long long)ids[i], m->vocab - 1, m->vocab);
    return ML_OK;
}

static void look_up(const ml_ngram *m, reader *r, uint32_t token)
{
    for (size_t k = 0; k <= r->longest; k++)
        r->next[k] = find_child(m, r->node[k], token);
}

// Takes the contexts past the token that was read: one longer each, the oldest token dropped.
static void move_on(const ml_ngram *m, reader *r)
{
    if (r->longest + 1 < m->order)
        r->longest++;
    memmove(r->node + 1, r->next, r->longest * sizeof *r->node);
    r->node[0] = ROOT;
}

static void close_reader(reader *r)
{
    free(r->node);
    free(r->next);
}

// Checks the ids up to `end` and takes the contexts to `begin`. To be closed unless it fails.
static int open_reader(const ml_ngram *m, const int64_t *ids, size_t begin, size_t end, reader *r,
                       ml_error *err)
{
    size_t first = begin < m->order ? 0 : begin - (m->order - 1);
    if (check_ids(m, ids, first, end, err) != ML_OK)
        return err->code;
    *r = (reader){calloc(m->order, sizeof *r->node), calloc(m->order, sizeof *r->next), 0};
    if (r->node == NULL || r->next == NULL) {
        close_reader(r);
        return ml_fail(err, ML_ERR_MEMORY, "ngram: no memory for %zu contexts", m->order);
    }
    for (size_t i = first; i < begin; i++) {
        look_up(m, r, (uint32_t)ids[i]);
        move_on(m, r);
    }
    return ML_OK;
}

static int never_seen(const ml_ngram *m, uint32_t context)
{
    return context == MISSING || m->nodes[context].total == 0;
}

// p(token | contexts) for the token that was looked up.
static double probability(const ml_ngram *m, const reader *r)
{
    double p = 1.0 / (double)m->vocab;
    for (size_t k = 0; k <= r->longest && !never_seen(m, r->node[k]); k++) {
        const node *h = &m->nodes[r->node[k]];
        double count = r->next[k] == MISSING ? 0 : m->nodes[r->next[k]].count;
        p = (count + h->types * p) / ((double)h->total + h->types);
    }
    return p;
}

static int count_token(ml_ngram *m, reader *r, uint32_t token, ml_error *err)
{
    for (size_t k = 0; k <= r->longest; k++) {
        if (add_child(m, r->node[k], token, &r->next[k], err) != ML_OK)
            return err->code;
        m->nodes[r->next[k]].count++;
        m->nodes[r->node[k]].total++;
    }
    return ML_OK;
}

// ---- public -----------------------------------------------------------------------------------

int ml_ngram_new(ml_ngram **model, size_t order, size_t vocab, ml_error *err)
{
    *model = NULL;
    if (order < 1)
        return ml_fail(err, ML_ERR_VALUE, "order: expected 1 or more, got %zu", order);
    if (vocab < 1 || vocab > UINT32_MAX)
        return ml_fail(err, ML_ERR_VALUE, "vocab_size: expected 1 to %lu, got %zu",
                       (unsigned long)UINT32_MAX, vocab);
    ml_ngram *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ml_fail(err, ML_ERR_MEMORY, "ngram: no memory for a model");
    m->order = order;
    m->vocab = vocab;
    if (grow(m, err) != ML_OK) {
        ml_ngram_free(m);
        return err->code;
    }
    m->nodes[ROOT] = (node){0};
    m->size = 1;
    *model = m;
    return ML_OK;
}

void ml_ngram_free(ml_ngram *model)
{
    if (model == NULL)
        return;
    free(model->nodes);
    free(model->slots);
    free(model);
}

int ml_ngram_count(ml_ngram *model, const int64_t *ids, size_t begin, size_t end, ml_error *err)
{
    size_t counted = model->nodes[ROOT].total;
    if (end - begin > UINT32_MAX - counted)
        return ml_fail(err, ML_ERR_OVERFLOW, "ngram: %zu tokens are more than can be counted (%lu)",
                       end - begin + counted, (unsigned long)UINT32_MAX);
    reader r;
    int code = open_reader(model, ids, begin, end, &r, err);
    if (code != ML_OK)
        return code;
    for (size_t k = 0; k <= r.longest && code == ML_OK; k++)
        if (r.node[k] == MISSING)
            code = ml_fail(err, ML_ERR_VALUE,
                           "ngram: the tokens before %zu are to be counted first", begin);
    for (size_t i = begin; i < end && code == ML_OK; i++) {
        code = count_token(model, &r, (uint32_t)ids[i], err);
        move_on(model, &r);
    }
    close_reader(&r);
    return code;
}

int ml_ngram_log_prob(const ml_ngram *model, const int64_t *ids, size_t begin, size_t end,
                      double *log_probs, ml_error *err)
{
    reader r;
    int code = open_reader(model, ids, begin, end, &r, err);
    if (code != ML_OK)
        return code;
    for (size_t i = begin; i < end; i++) {
        look_up(model, &r, (uint32_t)ids[i]);
        log_probs[i - begin] = log(probability(model, &r));
        move_on(model, &r);
    }
    close_reader(&r);
    return ML_OK;
}

int ml_ngram_distribution(const ml_ngram *model, const int64_t *context, size_t length,
                          double *probs, ml_error *err)
{
    reader r;
    int code = open_reader(model, context, length, length, &r, err);
    if (code != ML_OK)
        return code;
    for (size_t w = 0; w < model->vocab; w++)
        probs[w] = 1.0 / (double)model->vocab;
    for (size_t k = 0; k <= r.longest && !never_seen(model, r.node[k]); k++) {
        const node *h = &model->nodes[r.node[k]];
        double all = (double)h->total + h->types;
        for (size_t w = 0; w < model->vocab; w++)
            probs[w] *= h->types / all;
        for (uint32_t c = h->child; c != ROOT; c = model->nodes[c].sibling)
            probs[model->nodes[c].token] += model->nodes[c].count / all;
    }
    close_reader(&r);
    return ML_OK;
}
