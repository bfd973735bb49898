// Replay: the next tick at which anything can happen, from the times that Ramulator's device keeps.
//
// Only three things happen by themselves: a refresh falls due (10), a request enters the FIFO (15),
// a head becomes ready. All else follows from a command, and the tick after it is asked for anew. A
// tick that is looked at in vain costs time and changes nothing, so every answer may be too early.
#include <algorithm>
#include <limits>

#include "controller.hpp"

namespace ramulator_bridge {
namespace {

constexpr Tick kNever = std::numeric_limits<Tick>::max();

}  // namespace

Tick PimController::next_event() {
    Tick next = kNever;
    for (int i : fifo_streams_) {
        const Stream &stream = streams_[i];
        if (stream.queued < stream.window && stream.next == Item::Request && stream.barrier == kNone)
            next = std::min(next, std::max(stream.enters_from, m_clk + 1));
    }
    for (int i = 0; i <= streams() && next > m_clk + 1; ++i) next = std::min(next, next_of(i));
    if (next == kNever && running_ > 0 && nobody_is_coming()) deadlock();
    if (standard_.refresh_command != kNone) {
        const Tick interval = standard_.refresh_interval;
        next = std::min(next, (m_clk / interval + 1) * interval);
    }
    return running_ > 0 ? next : std::min(next, std::max(end_, m_clk + 1));  // 16
}

// The first tick at which the head can issue unless something else does; kNever while it is blocked.
Tick PimController::next_of(int i) {
    Head &head = heads_[i];
    if (!head.present) return kNever;
    if (head.assessed != epoch_) assess(i);
    if (head.blocked()) return kNever;
    if (head.not_before <= m_clk) head.not_before = operations_->ready(head.need);
    const Tick tick = std::max({head.visible, head.not_before, m_clk + 1});
    if (standard_.bus != Bus::HalfClock || tick % 2 == 1) return tick;
    const Operation &operation = (*operations_)[head.need];
    return operation.slot == Slot::Row && operation.falling_edge ? tick : tick + 1;  // 12
}

// Whether no command but refresh can come any more; with refresh, 1000 of them decide (18).
bool PimController::nobody_is_coming() {
    if (some_stream_can_go()) return false;
    return standard_.refresh_command == kNone ||
           std::all_of(streams_.begin(), streams_.end(),
                       [](const Stream &stream) { return stream.done || stream.barrier != kNone; });
}

}  // namespace ramulator_bridge
