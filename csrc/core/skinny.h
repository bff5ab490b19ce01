// Products with few rows, as one batch of a small step or a prompt of a few tokens has them: what
// they cost is reading B, so B is read once, where it lies.
#ifndef ML_SKINNY_H
#define ML_SKINNY_H

#include "product.h"

enum { ML_SKINNY_ROWS = 24 }; // below so many, packing B costs more than it saves

// As ml_product_run, for m < ML_SKINNY_ROWS.
int ml_skinny_run(const ml_product *product, ml_error *err);

#endif
