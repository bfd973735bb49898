// Scalars and faults that every module shares.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "pyramulator.h"

namespace pyramulator {

using Tick = int64_t;

// A ready tick and what sets it, in one integer whose order is that of rule 17. From the top: the
// tick; the row's rank (outermost level, then row order: greater is earlier); whether the preceding
// command went by the column slot (then it was pushed before one of the same tick's row slot);
// whether it was a refresh.
using Key = int64_t;
constexpr int kCodeBits = 16;
constexpr Key kCodeMask = (Key{1} << kCodeBits) - 1;
constexpr int kRankShift = 2;
constexpr Key kColumnBit = 2;
constexpr Key kRefreshBit = 1;

constexpr Tick kMaxTick = Tick{1} << 45; // a tick and a code fit a Key, with room for latencies
constexpr Tick kMaxLatency = Tick{1} << 40;
constexpr Tick kForever = Tick{1} << 60;
constexpr Key kNever =
    -(Key{1} << 62); // an event that has not happened; no latency lifts it above 0

constexpr Key stamp(Tick tick) { return tick * (Key{1} << kCodeBits); }
constexpr Tick ready_tick(Key key) { return key >> kCodeBits; }
constexpr uint32_t code_of(Key key) { return static_cast<uint32_t>(key & kCodeMask); }

constexpr int kRefreshSource = -1;

// Everything that can go wrong; becomes a status and a message at the ABI.
class Fault : public std::runtime_error {
public:
    Fault(int status, const std::string &message) : std::runtime_error(message), status(status) {}
    const int status;
};

} // namespace pyramulator
