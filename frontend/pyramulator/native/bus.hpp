// Which ticks have a slot for a command (rule 12).
#pragma once

#include "head.hpp"
#include "timing.hpp"

namespace pyramulator {

class CommandBus {
public:
    CommandBus(Bus kind, const Timing &timing)
        : half_clock_(kind == Bus::HalfClock), timing_(timing) {}

    bool half_clock() const { return half_clock_ != 0; }

    // First tick >= `tick` with a slot for a column command, or a row command of rising edges.
    Tick next_rising(Tick tick) const { return tick | half_clock_; }

    // First tick >= `tick` with a slot for the head's row command.
    Tick next_row_slot(const Head &head, Tick tick) const {
        const Tick rising = tick | half_clock_;
        if (rising == tick || !head.falling_edge || (tick == last_.end && refused(last_, head)))
            return rising;
        return tick;
    }

    // The same question for one tick, by what was known at its start.
    bool offers(const Head &head, Tick tick) const {
        if (half_clock_ == 0 || (tick & 1) != 0) return true;
        const RowCommand &before = last_.tick >= tick ? previous_ : last_;
        return head.slot == kRowSlot && head.falling_edge &&
               !(tick == before.end && refused(before, head));
    }

    // Of the ticks `from` to `to`: how many offer the head a slot.
    int64_t offered(const Head &head, Tick from, Tick to) const {
        if (half_clock_ == 0) return to - from + 1;
        const int64_t rising = (to + 1) / 2 - from / 2;
        if (head.slot != kRowSlot || !head.falling_edge) return rising;
        int64_t refused_ticks = 0;
        if (from <= last_.end && last_.end <= to) refused_ticks += !offers(head, last_.end);
        if (previous_.end != last_.end && from <= previous_.end && previous_.end <= to)
            refused_ticks += !offers(head, previous_.end);
        return to - from + 1 - refused_ticks;
    }

    void row_issued(int32_t operation, Tick tick) {
        previous_ = last_;
        last_ = {operation, tick, tick + timing_.operations()[operation].cycles};
    }

private:
    struct RowCommand {
        int32_t operation = -1;
        Tick tick = 0;
        Tick end = 0;
    };

    // The pairing rule, given that the head's tick is the one after the row command's last.
    bool refused(const RowCommand &before, const Head &head) const {
        if (before.operation < 0) return false;
        const auto &operations = timing_.operations();
        if (!timing_.share_pseudo_channel(before.operation, head.need)) return false;
        return operations[before.operation].banks > 1 || operations[head.need].banks > 1 ||
               timing_.meet(before.operation, head.need);
    }

    const Tick half_clock_; // 1 or 0
    const Timing &timing_;
    RowCommand last_, previous_;
};

} // namespace pyramulator
