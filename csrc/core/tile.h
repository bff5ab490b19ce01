// Tiles of a product that ask for memory before they need it: what lies in no cache costs more time
// than the multiply-adds, and its rows lie too far apart for the processor to guess the next.
#ifndef ML_TILE_H
#define ML_TILE_H

#include "kernels/kernels.h"
#include "platform.h"

// Points a tile at what comes next of A: the rows below, or, of a transposed A, the columns to the
// right.
static inline void ml_tile_look_ahead(ml_panel_product *tile)
{
    const int in_rows = tile->a_k == 1;
    tile->ahead = tile->a + (in_rows ? ML_TILE_ROWS * tile->a_row : ML_LINE);
    tile->ahead_step = in_rows ? ML_LINE : tile->a_k;
}

// Asks for the lines of C that a tile is going to write.
static inline void ml_tile_ask_for_c(const ml_panel_product *tile)
{
    for (size_t i = 0; i < tile->rows; i++)
        for (size_t j = 0; j < tile->columns; j += ML_LINE)
            ML_PREFETCH(tile->c + i * tile->c_row + j);
}

#endif
