// Rule 17: every tick of every stream in exactly one class, accounted for in stretches.
#pragma once

#include <vector>

#include "bus.hpp"

namespace pyramulator {

enum Class { kIssued, kDone, kBarrierWait, kHeld, kRefresh, kEdge, kSlot, kClasses };

class Ledger {
public:
    Ledger(bool wanted, int streams, const Timing &timing, const CommandBus &bus);

    bool wanted() const { return wanted_; }

    // Accounts for the ticks up to `tick`, in none of which the head lost a slot to another command.
    void charge(Head &head, int stream, Tick tick);

    // The same, but something issued in `tick` itself: to whom the head lost its slot is known when
    // the tick is over.
    void contest(Head &head, int stream, Tick tick);

    // The stream issued a command in `tick`.
    void issued(Head &head, int stream, Tick tick);

    // The tick is over; the winners are head numbers, -1 for an empty slot.
    void close_tick(const std::vector<Head> &heads, Tick tick, int row_winner, int column_winner);

    // The stream has had no request left since the last tick accounted for.
    void done(const Head &head, int stream, Tick end);

    // The hot case of contest(): visible, and not ready in `tick` or before.
    void charge_row(Head &head, int stream, Tick tick) {
        int64_t *to = &row_counter(stream, code_of(head.key));
        *to += tick - head.from + 1;
        head.charged = to;
        head.from = tick + 1;
    }

    // The stream at the FIFO's front, -1 for none: what a fifo stream behind it waits for.
    int blocker = -1;

    void write(int n_rows, int64_t *classes, int64_t *slot_to, int64_t *rows) const;

private:
    struct Contest {
        int stream;
        uint8_t slot;
    };

    int64_t &counter(int stream, Class what) { return classes_[size_t(stream) * kClasses + what]; }
    int64_t &row_counter(int stream, uint32_t code) { return rows_[size_t(stream) * codes_ + code]; }
    int64_t &slot_counter(int stream, int winner) { return slots_[size_t(stream) * (streams_ + 1) + winner]; }
    void add(Head &head, int64_t &to, Tick tick);
    void charge_ready(Head &head, int stream, Tick tick);

    const bool wanted_;
    const int streams_;
    const size_t codes_;
    const Timing &timing_;
    const CommandBus &bus_;
    std::vector<int64_t> classes_;  // [stream][class]
    std::vector<int64_t> rows_;     // [stream][code]
    std::vector<int64_t> slots_;    // [stream][winner], refresh last
    std::vector<Contest> contested_;
};

}  // namespace pyramulator
