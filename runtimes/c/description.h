/* Whether what a library says of itself can be relied on. */
#ifndef ASTRO_DESCRIPTION_H
#define ASTRO_DESCRIPTION_H

#include "astro_abi.h"
#include "failure.h"

/* Bytes of an element; 0 for a code that is no dtype. */
uint64_t item_size(uint32_t dtype);

/* 0 when every number of `info` keeps the rules that Python's manifest_check.py has for a manifest: names, aligned
 * buffers of a size that can be, fields inside them that do not share a byte, initial values inside the weights, inputs
 * that can be drawn, counters inside the workspace, a golden trace of hashes. The order of the checks matters: a count
 * is looked at before its table. */
int check_description(const astro_info *info, astro_failure *failure);

#endif
