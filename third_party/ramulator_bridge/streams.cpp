// Streams, barriers and the priority FIFO of the controller, and deadlocks.
#include <algorithm>

#include "controller.hpp"

namespace ramulator_bridge {
namespace {

constexpr int kIdleRefreshes = 1000;     // rule 18
constexpr Tick kTicksPerDeadlockLook = 256;

}  // namespace

void PimController::start() {
    started_ = true;
    heads_.assign(streams() + 1, {});
    running_ = streams();
    if (standard_.refresh_command != kNone) {
        // node order: the last level counts fastest
        Target node(standard_.depth, -1);
        std::fill(node.begin(), node.begin() + standard_.refresh_scope + 1, 0);
        for (int level = standard_.refresh_scope; level >= 0;) {
            if (level == standard_.refresh_scope)
                refreshes_.push_back(operations_->make(standard_.refresh_command, node));
            if (++node[level] < standard_.sizes[level]) {
                level = standard_.refresh_scope;
            } else {
                node[level--] = 0;
            }
        }
    }
    for (int i = 0; i < streams(); ++i) {
        for (int32_t id : streams_[i].walk.barrier_ids()) {
            auto place = std::find_if(barriers_.begin(), barriers_.end(), [&](auto &b) { return b.id == id; });
            if (place == barriers_.end()) place = barriers_.insert(place, {id, {}});
            place->participants.push_back(i);
        }
    }
    for (int i = 0; i < streams(); ++i) {
        if (is_fifo(i)) streams_[i].next = streams_[i].walk.next();
        final_issued(i, 0);  // 7, 8: as if a final had issued in tick 0
    }
}

int PimController::front() const {
    if (fifo_.empty()) return kNone;
    return fifo_.front().source == kRefreshSource ? streams() : fifo_.front().source;
}

void PimController::ask(int i, int request, int32_t row, int32_t column, Tick visible) {
    Head &head = heads_[i];
    // the same command at the same place in the same state needs the same
    if (!head.present || head.request != request || head.row != row) head.assessed = 0;
    head.present = true;
    head.request = request;
    head.row = row;
    head.column = column;
    head.visible = visible;
    order_stale_ = true;
}

// The stream's final of this tick is complete at `completed`: the next request, or what else comes.
void PimController::final_issued(int i, Tick completed) {
    Stream &stream = streams_[i];
    heads_[i].holds = false;
    order_stale_ = true;
    if (!is_fifo(i)) {
        const Item item = stream.walk.next();
        if (item == Item::Request) {
            ask(i, stream.walk.operation(), stream.walk.row(), stream.walk.column(), m_clk + 1);
        } else {
            leave(i, item, completed);
        }
    } else if (stream.queued > 0) {
        const auto oldest =
            std::find_if(fifo_.begin(), fifo_.end(), [&](const Entry &entry) { return entry.source == i; });
        ask(i, oldest->request, oldest->row, oldest->column, oldest->entered);
    } else if (stream.next == Item::Request) {
        heads_[i].present = false;  // until it enters
    } else {
        leave(i, stream.next, completed);
    }
    open_barriers();
}

// The stream stands at its end, or arrives at a barrier at `arrival`.
void PimController::leave(int i, Item item, Tick arrival) {
    Stream &stream = streams_[i];
    heads_[i].present = false;
    order_stale_ = true;
    if (item == Item::End) {
        stream.done = true;
        --running_;
        return;
    }
    const auto place = std::find_if(barriers_.begin(), barriers_.end(),
                                    [&](const Barrier &b) { return b.id == stream.walk.barrier(); });
    stream.barrier = static_cast<int>(place - barriers_.begin());
    place->last_arrival = std::max(place->last_arrival, arrival);
    if (++place->arrived < place->participants.size()) return;
    opening_.emplace_back(stream.barrier, place->last_arrival);
    place->arrived = 0;
    place->last_arrival = 0;
}

// 8. Streams that pass one barrier and stand before the next arrive there when the first opens.
void PimController::open_barriers() {
    for (uint32_t opened = 1; !opening_.empty(); ++opened) {
        const auto [number, tick] = opening_.back();
        opening_.pop_back();
        for (int i : barriers_[number].participants) {
            Stream &stream = streams_[i];
            stream.barrier = kNone;
            stream.next = stream.walk.next();
            if (stream.next != Item::Request) {
                leave(i, stream.next, tick);
            } else if (is_fifo(i)) {
                stream.enters_from = tick + 1;
            } else {
                ask(i, stream.walk.operation(), stream.walk.row(), stream.walk.column(), tick + 1);
            }
        }
        if (opened % 1024 == 0 && slice_is_over()) return;  // advance goes on with the rest
    }
}

// 10
void PimController::enter_refreshes() {
    if (standard_.refresh_command == kNone || m_clk % standard_.refresh_interval != 0) return;
    size_t turns = 1;  // nodes that take turns
    for (int level = standard_.refresh_in_turn + 1; level <= standard_.refresh_scope; ++level)
        turns *= standard_.sizes[level];
    const size_t turn = (m_clk / standard_.refresh_interval - 1) % turns;
    for (size_t i = turn; i < refreshes_.size(); i += turns) {
        fifo_.push_back({kRefreshSource, refreshes_[i], -1, -1, m_clk});
        queued_refreshes_.push_back(refreshes_[i]);
    }
    show_front();
    changed();
    if (running_ > 0) {  // 18
        idle_refreshes_ = some_stream_can_go() ? 0 : idle_refreshes_ + 1;
        if (idle_refreshes_ > kIdleRefreshes) deadlock();
    }
}

// 15
void PimController::enter_fifo_streams() {
    for (int i : fifo_streams_) {
        Stream &stream = streams_[i];
        while (stream.queued < stream.window && stream.next == Item::Request && stream.enters_from <= m_clk &&
               stream.barrier == kNone) {
            const Walk &walk = stream.walk;
            fifo_.push_back({i, walk.operation(), walk.row(), walk.column(), m_clk});
            if (stream.queued++ == 0) ask(i, walk.operation(), walk.row(), walk.column(), m_clk);
            stream.next = stream.walk.next();
            order_stale_ = true;
            changed();
        }
    }
}

void PimController::pop_front() {
    const Entry entry = fifo_.front();
    fifo_.pop_front();
    if (entry.source == kRefreshSource) {
        queued_refreshes_.erase(std::find(queued_refreshes_.begin(), queued_refreshes_.end(), entry.request));
        heads_[streams()].present = false;
    } else {
        --streams_[entry.source].queued;
    }
    show_front();
    changed();
}

// The one head that stands for refresh shows the FIFO's front where that is a refresh.
void PimController::show_front() {
    order_stale_ = true;
    if (front() != streams() || heads_[streams()].present) return;
    const Entry &entry = fifo_.front();
    ask(streams(), entry.request, entry.row, entry.column, entry.entered);
}

// ---- rule 18

bool PimController::some_stream_can_go() {
    for (int i = 0; i < streams(); ++i) {
        const Stream &stream = streams_[i];
        if (stream.done || stream.barrier != kNone) continue;
        if (!heads_[i].present) return true;  // it is about to enter the FIFO
        if (heads_[i].assessed != epoch_) assess(i);
        if (!heads_[i].blocked()) return true;
    }
    return false;
}

void PimController::look_for_deadlock() {
    if (running_ == 0 || m_clk % kTicksPerDeadlockLook != 0 || some_stream_can_go()) return;
    const bool all_at_barriers = std::all_of(streams_.begin(), streams_.end(), [](const Stream &stream) {
        return stream.done || stream.barrier != kNone;
    });
    if (standard_.refresh_command == kNone || all_at_barriers) deadlock();
}

std::string PimController::plight(int i) {
    const Stream &stream = streams_[i];
    const std::string who = "stream " + std::to_string(i) + ": ";
    if (stream.barrier != kNone) {
        const Barrier &barrier = barriers_[stream.barrier];
        std::string missing;
        for (int other : barrier.participants)
            if (streams_[other].barrier != stream.barrier)
                missing += (missing.empty() ? "" : ", ") + std::to_string(other);
        return who + "waits at barrier " + std::to_string(barrier.id) + " (record " +
               std::to_string(stream.walk.record()) + ") for stream " + missing + " (rule 8)";
    }
    const Head &head = heads_[i];
    const Operation &request = (*operations_)[head.request];
    std::string where = standard_.commands[request.command].name + " at (";
    for (int level = 0; level < standard_.depth; ++level) where += std::to_string(request.address[level]) + ", ";
    where += "row " + std::to_string(head.row) + ")";
    if (head.need == kNone) return who + where + " needs a command that it does not name (rule 6)";
    if (head.held) return who + where + " may not close a held bank (rule 9)";
    if (head.waits_behind) return who + where + " waits behind the front of the FIFO (rule 15)";
    return who + where + " waits for a refresh in the FIFO (rule 11(d))";
}

void PimController::deadlock() {
    constexpr int kMostTold = 4;
    std::string message = "nothing can issue any more: ";
    int told = 0;
    for (int i = 0; i < streams(); ++i) {
        if (streams_[i].done || told == kMostTold) continue;
        message += (told++ > 0 ? "; " : "") + plight(i);
    }
    if (running_ > told) message += "; and " + std::to_string(running_ - told) + " more";
    throw Fault(PYR_DEADLOCK, message);
}

}  // namespace ramulator_bridge
