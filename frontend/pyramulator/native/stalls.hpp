// Rule 17: every tick of every stream in exactly one class, accounted for in stretches.
#pragma once

#include <algorithm>
#include <vector>

#include "bus.hpp"

namespace pyramulator {

enum Class { kIssued, kDone, kBarrierWait, kHeld, kRefresh, kEdge, kSlot, kClasses };

class Ledger {
public:
    Ledger(bool wanted, int streams, const Timing &timing, const CommandBus &bus);

    bool wanted() const { return wanted_; }

    // Accounts for the ticks up to `tick`, in none of which the head lost a slot to a command.
    void charge(Head &head, int stream, Tick tick);

    // The same, but something issued in `tick` itself: to whom the head lost its slot is known when
    // the tick is over.
    void contest(Head &head, int stream, Tick tick);

    // The stream issued a command in `tick`.
    void issued(Head &head, int stream, Tick tick) {
        if (head.counted && head.visible <= head.from && head.from <= tick) {
            charge_counted(head, stream, tick - 1);
            ++counter(stream, kIssued);
            head.issued_at = tick;
            head.from = tick + 1;
        } else {
            issued_otherwise(head, stream, tick);
        }
    }

    // A counted head issued `times` more at a distance of `period` ticks, each time ready after
    // `latency` by the row of its key.
    void repeated(const Head &head, int stream, int64_t times, Tick latency, Tick period) {
        row_counter(stream, code_of(head.key)) += times * (latency - 1);
        counter(stream, kEdge) += times * (period - latency);
        counter(stream, kIssued) += times;
    }

    // contest() of a counted head, visible since `from`, that is ready and whose slot `winner` has
    // taken in `tick`.
    void lose(Head &head, int stream, int winner, Tick tick) {
        if (head.from > tick) return; // the tick's other slot has settled it
        charge_counted(head, stream, tick - 1);
        ++slot_counter(stream, winner);
        head.from = tick + 1;
    }

    // contest() of a counted head, visible since `from`, that is not ready in `tick`.
    void charge_row(Head &head, int stream, Tick tick) {
        row_counter(stream, code_of(head.key)) += tick + 1 - head.from;
        head.from = tick + 1;
    }

    // The tick is over; the winners are head numbers, -1 for an empty slot.
    void close_tick(const std::vector<Head> &heads, Tick tick, int row_winner, int column_winner) {
        if (!contested_.empty()) settle_contests(heads, tick, row_winner, column_winner);
    }

    // The stream has had no request left since the last tick accounted for.
    void done(const Head &head, int stream, Tick end);

    // The stream at the FIFO's front, -1 for none: what a fifo stream behind it waits for.
    int blocker = -1;

    void write(int n_rows, int64_t *classes, int64_t *slot_to, int64_t *rows) const;

private:
    struct Contest {
        int stream;
        uint8_t slot;
    };

    int64_t &counter(int stream, Class what) { return classes_[size_t(stream) * kClasses + what]; }
    int64_t &row_counter(int stream, uint32_t code) {
        return rows_[size_t(stream) * codes_ + code];
    }
    int64_t &slot_counter(int stream, int winner) {
        return slots_[size_t(stream) * (streams_ + 1) + winner];
    }
    // charge() of a counted, visible head; leaves `from` to the caller.
    void charge_counted(const Head &head, int stream, Tick tick) {
        const Tick ready = ready_tick(head.key);
        Tick from = head.from;
        if (from < ready) {
            const Tick to = ready <= tick ? ready : tick + 1;
            row_counter(stream, code_of(head.key)) += to - from;
            from = to;
        }
        if (from <= tick) counter(stream, kEdge) += tick + 1 - from;
    }
    void issued_otherwise(Head &head, int stream, Tick tick);
    void settle_contests(const std::vector<Head> &heads, Tick tick, int row_winner,
                         int column_winner);
    void add(Head &head, int64_t &to, Tick tick);
    void charge_ready(Head &head, int stream, Tick tick);

    const bool wanted_;
    const int streams_;
    const size_t codes_;
    const Timing &timing_;
    const CommandBus &bus_;
    std::vector<int64_t> classes_; // [stream][class]
    std::vector<int64_t> rows_;    // [stream][code]
    std::vector<int64_t> slots_;   // [stream][winner], refresh last
    std::vector<Contest> contested_;
};

} // namespace pyramulator
