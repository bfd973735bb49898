/* What the bridge has beyond the C ABI of pyramulator.h, which it implements.
 * What lies between the two cdef marks is read by frontend/pyramulator/bridge.py as it stands. */
#ifndef RAMULATOR_BRIDGE_H
#define RAMULATOR_BRIDGE_H

#include "pyramulator.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* cdef begin */

/* Before the first advance. 0: every tick is looked at (as after create). 1: time jumps to the next
 * tick at which anything can happen; the run is the same. */
int pyr_bridge_replay(pyr_engine *engine, int replay);

/* cdef end */

#if defined(__cplusplus)
}
#endif

#endif
