// Matrices copied into panels: the layout that panel_product reads.
//
// A panel holds `vectors` vectors of columns for every k, so that a register tile finds its columns
// side by side:   panel p = [k][column], columns p * width ... ; columns beyond the end are 0.
#ifndef ML_PACKED_H
#define ML_PACKED_H

#include <stddef.h>

#include "real.h"

// What a packed matrix looks like. Its columns are `gates` groups of `units`: a panel takes the
// same `unit_width` units of every group (an LSTM's four gates of 16 units), so that a cell can be
// finished from one tile. An ordinary matrix is one group.
typedef struct ml_packed_shape {
    size_t gates, units, depth;
    size_t unit_width; // units in a panel
    size_t vectors;    // vectors that a panel is wide: gates * unit_width / lanes
    size_t panels;
    size_t panel_size; // numbers in a panel
} ml_packed_shape;

// depth numbers for each of gates * units columns; gates <= 4.
ml_packed_shape ml_packed_plan(size_t gates, size_t units, size_t depth);

// Numbers that all panels need.
size_t ml_packed_size(const ml_packed_shape *shape);

// Copies: element (k, gate, unit) is src[k * k_stride + gate * gate_stride + unit * unit_stride].
// panels: ml_packed_size numbers, overwritten. Runs on the pool.
void ml_pack(const ml_packed_shape *shape, const ml_real *src, size_t k_stride, size_t gate_stride,
             size_t unit_stride, ml_real *panels);

#endif
