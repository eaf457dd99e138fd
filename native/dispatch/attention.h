/* attention.h: what the checks of the attention kernels and the reference share. */
#ifndef STERNA_ATTENTION_H
#define STERNA_ATTENTION_H

/* Columns of the largest head; sterna.h promises it, and the reference has room for no more. */
#define MAX_HEAD_DIM 256

#endif
