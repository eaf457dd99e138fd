/* rows.c: the row kernels in vectors of 16 floats. */
#include "kernels/template/rows.h"

#include "dispatch/families.h"

void sterna_avx512_rows(sterna_table *t) {
    fill_rows(t);
}
