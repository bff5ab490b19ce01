// What attention does to a block of scores between its matrix products. The block is kept with a row
// for each key, so that queries lie side by side in the lanes of a vector: largest score, sum and
// factor of each query are then vectors, too, and nothing is added up across lanes.
#include "kernels.h"
#include "simd.h"
#include "simd_transpose.h"
#include "vmath.h"

enum { ROW = ML_ATTENTION_BLOCK };

// Which keys the queries i .. i + ML_LANES - 1 see: `all` of them see those before it, and none
// those from `some` on; in between, query i + l sees key j where j <= i + l + reach.
typedef struct span {
    size_t all, some;
} span;

static size_t clamp(ptrdiff_t at, size_t end)
{
    return at < 0 ? 0 : (size_t)at < end ? (size_t)at : end;
}

ML_INLINE span keys_seen(const ml_attention_scores *s, size_t i)
{
    const ptrdiff_t first = (ptrdiff_t)i + s->reach + 1;
    return (span){clamp(first, s->keys), clamp(first + ML_LANES - 1, s->keys)};
}

ML_INLINE int is_masked(const ml_attention_scores *s, size_t j)
{
    return s->key_mask != NULL && s->key_mask[j] == 0;
}

// 0, 1, 2 ... : the place of a lane
ML_INLINE vec lane_numbers(void)
{
    ml_real number[ML_LANES];
    for (size_t l = 0; l < ML_LANES; l++)
        number[l] = (ml_real)l;
    return v_load(number);
}

// The first lane of queries i .. that sees key j.
ML_INLINE vec first_lane(const ml_attention_scores *s, size_t i, size_t j)
{
    return v_set((ml_real)((ptrdiff_t)j - s->reach - (ptrdiff_t)i));
}

// The largest score of each query: of those that it sees, and of `largest`.
ML_INLINE vec top_scores(const ml_attention_scores *s, size_t i, span seen, vec largest)
{
    const vec number = lane_numbers(), one = v_set(1), hidden = v_set((ml_real)3e38);
    for (size_t j = 0; j < seen.all; j++)
        if (!is_masked(s, j))
            largest = v_max(largest, v_load(s->p + j * ROW + i));
    for (size_t j = seen.all; j < seen.some; j++)
        if (!is_masked(s, j)) {
            vec shown = v_zero_where_lt(number, first_lane(s, i, j), one);
            // x where it is shown, about -3e38 elsewhere
            vec x = v_fma(v_sub(shown, one), hidden, v_load(s->p + j * ROW + i));
            largest = v_max(largest, x);
        }
    return largest;
}

// p = factor exp(p - shift), 0 where a key is not seen; returns sum + the exponentials.
ML_INLINE vec exponentials(const ml_attention_scores *s, size_t i, span seen, vec shift, vec factor,
                           vec sum)
{
    const vec number = lane_numbers();
    for (size_t j = 0; j < s->keys; j++) {
        ml_real *p = s->p + j * ROW + i;
        if (j >= seen.some || is_masked(s, j)) {
            v_store(p, v_zero());
            continue;
        }
        vec x = v_exp(v_sub(v_load(p), shift));
        if (j >= seen.all)
            x = v_zero_where_lt(number, first_lane(s, i, j), x);
        sum = v_add(sum, x);
        v_store(p, v_mul(factor, x));
    }
    return sum;
}

// The softmax over keys, a block of them at a time (Milakov & Gimelshein 2018, algorithm 3), for
// each query i:
//     top' = max(top, max_j p[j][i])        p[j][i] = exp(p[j][i] - top')
//     factor = exp(top - top')              sum = factor sum + sum_j p[j][i]
// What was made of earlier blocks is to be multiplied by factor. top begins at -3e38, which is below
// all scores, but no -inf: where a query sees no key, nothing is subtracted from itself.
void ML_KERNEL(attention_softmax)(const ml_attention_scores *s, ml_real *top, ml_real *sum,
                                  ml_real *factor)
{
    for (size_t i = 0; i < s->queries; i += ML_LANES) {
        const span seen = keys_seen(s, i);
        const vec before = v_load(top + i);
        const vec largest = top_scores(s, i, seen, before);
        const vec change = v_exp(v_sub(before, largest));
        v_store(top + i, largest);
        v_store(factor + i, change);
        v_store(sum + i,
                exponentials(s, i, seen, largest, v_set(1), v_mul(change, v_load(sum + i))));
    }
}

// p[j][i] = exp(p[j][i] - top[i]) inverse[i], 0 where a key is not seen
void ML_KERNEL(attention_probabilities)(const ml_attention_scores *s, const ml_real *top,
                                        const ml_real *inverse)
{
    for (size_t i = 0; i < s->queries; i += ML_LANES)
        exponentials(s, i, keys_seen(s, i), v_load(top + i), v_load(inverse + i), v_zero());
}

// ds[j][i] = scale p[j][i] (dp[j][i] - delta[i]), in the place of dp; 0 where a key is not seen
void ML_KERNEL(attention_backward)(const ml_attention_scores *s, ml_real scale,
                                   const ml_real *delta, ml_real *dp)
{
    const vec factor = v_set(scale);
    for (size_t i = 0; i < s->queries; i += ML_LANES) {
        const span seen = keys_seen(s, i);
        const vec shift = v_load(delta + i);
        for (size_t j = 0; j < s->keys; j++) {
            ml_real *d = dp + j * ROW + i;
            vec ds = v_zero();
            if (j < seen.some && !is_masked(s, j))
                ds = v_mul(v_mul(factor, v_load(s->p + j * ROW + i)), v_sub(v_load(d), shift));
            v_store(d, ds);
        }
    }
}

// to[j][i] = scale from[i][j]; to[j][i] = 0 for rows <= i < width     from (rows, columns)
void ML_KERNEL(transpose)(size_t rows, size_t columns, const ml_real *from, size_t from_row,
                          ml_real scale, ml_real *to, size_t to_row, size_t width)
{
    const size_t whole = rows / ML_SQUARE * ML_SQUARE;
    size_t j = 0;
    for (; j + ML_SQUARE <= columns; j += ML_SQUARE)
        for (size_t i = 0; i < whole; i += ML_SQUARE)
            transpose_square(from + i * from_row + j, from_row, scale, to + j * to_row + i, to_row);
    for (size_t i = 0; i < whole; i++)
        for (size_t rest = j; rest < columns; rest++)
            to[rest * to_row + i] = scale * from[i * from_row + rest];
    for (j = 0; j < columns; j++)
        for (size_t i = whole; i < width; i++)
            to[j * to_row + i] = i < rows ? scale * from[i * from_row + j] : 0;
}

// x[i][j] *= factor[i]                               x (rows, columns), rows ld apart
void ML_KERNEL(rows_scale)(size_t rows, size_t columns, size_t ld, const ml_real *factor,
                           ml_real *x)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j += ML_LANES) {
            ml_real *at = x + i * ld + j;
            const size_t n = v_lanes(j, columns);
            v_put(at, v_mul(v_set(factor[i]), v_get(at, n)), n);
        }
}

// dots[i] += sum_j x[i][j] y[i][j]                   x, y (rows, columns), rows x_row, y_row apart
void ML_KERNEL(rows_dot)(size_t rows, size_t columns, const ml_real *x, size_t x_row,
                         const ml_real *y, size_t y_row, ml_real *dots)
{
    for (size_t i = 0; i < rows; i++) {
        vec sum = v_zero();
        for (size_t j = 0; j < columns; j += ML_LANES) {
            const size_t n = v_lanes(j, columns);
            sum = v_fma(v_get(x + i * x_row + j, n), v_get(y + i * y_row + j, n), sum);
        }
        ml_real lane[ML_LANES];
        v_store(lane, sum);
        for (size_t l = 0; l < ML_LANES; l++)
            dots[i] += lane[l];
    }
}

// products[i] = scale sum_j x[i][j] y[j]             x (rows, columns), rows ld apart
//
// As many rows at a time as a vector has lanes: what their vectors hold is then transposed, so that
// the sums across lanes are sums of vectors.
void ML_KERNEL(rows_times)(size_t rows, size_t columns, size_t ld, const ml_real *x,
                           const ml_real *y, ml_real scale, ml_real *products)
{
    const vec factor = v_set(scale);
    for (size_t i = 0; i < rows; i += ML_LANES) {
        const ml_real *row[ML_LANES];
        vec sum[ML_LANES];
        for (size_t l = 0; l < ML_LANES; l++) {
            row[l] = x + (i + l < rows ? i + l : rows - 1) * ld; // the last again, for nobody
            sum[l] = v_zero();
        }
        for (size_t j = 0; j < columns; j += ML_LANES) {
            const size_t n = v_lanes(j, columns);
            const vec part = v_get(y + j, n);
            for (size_t l = 0; l < ML_LANES; l++)
                sum[l] = v_fma(v_get(row[l] + j, n), part, sum[l]);
        }
        ml_real lanes[ML_LANES * ML_LANES], turned[ML_LANES * ML_LANES];
        for (size_t l = 0; l < ML_LANES; l++)
            v_store(lanes + l * ML_LANES, sum[l]);
        for (size_t a = 0; a < ML_LANES; a += ML_SQUARE)
            for (size_t b = 0; b < ML_LANES; b += ML_SQUARE)
                transpose_square(lanes + a * ML_LANES + b, ML_LANES, 1, turned + b * ML_LANES + a,
                                 ML_LANES);
        vec total = v_zero();
        for (size_t l = 0; l < ML_LANES; l++)
            total = v_add(total, v_load(turned + l * ML_LANES));
        v_put(products + i, v_mul(factor, total), v_lanes(i, rows));
    }
}
