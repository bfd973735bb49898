// What a stream (or the refresh at the FIFO's front) asks for now.
#pragma once

#include "types.hpp"

namespace pyramulator {

struct alignas(64) Head {
    Key key = 0;           // ready key of `need`
    uint64_t priority = 0; // order of rule 11: less goes first
    Tick not_before = 0;   // first tick it may issue in, its ready tick aside
    Tick from = 1;         // first tick that the ledger has not accounted for
    Tick visible = 0;      // tick it became visible
    int32_t need = -1; // operation that it needs next; the "nothing" operation where there is none
    int32_t request = -1; // operation of its request (the final)
    int32_t row = 0;
    int32_t column = 0;
    uint8_t slot = 0; // of need
    bool falling_edge = false;
    bool blocked = false;  // held, excluded, not at the FIFO's front, or nothing to issue
    bool counted = false;  // a stream's, and its ticks go to rows, edge or slot: neither of the
                           // above, nor of a fifo stream
    bool plain = false;    // its issue is a plain operation's and changes nothing but the stream
    bool active = false;   // it has a request, visible now or later
    bool held = false;     // rule 9
    bool excluded = false; // rule 11(d); of a fifo stream: a refresh stands before it in the FIFO
    bool holds = false;    // its banks are held for it
    bool fifo = false;
    bool front = false;         // at the FIFO's front
    bool stuck = false;         // rule 6 asks for a command that the description does not name
    Tick opened = 0;            // tick of opening, where it holds
    Tick issued_at = 0;         // last tick that it issued in
    int64_t *charged = nullptr; // the counter that its tick `from - 1` went to
};

constexpr uint64_t kFrontPriority = uint64_t{1} << 62;
constexpr uint64_t kOrdinaryPriority = uint64_t{2} << 62;
constexpr int kStreamBits = 12;
constexpr int kMaxStreams = 1 << 10;

constexpr uint64_t order(Tick tick, int stream) {
    return (static_cast<uint64_t>(tick) << kStreamBits) | static_cast<uint64_t>(stream);
}

} // namespace pyramulator
