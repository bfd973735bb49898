// What the heads ask for: streams, barriers, the priority FIFO, and what keeps a head from issuing.
#include <algorithm>

#include "engine.hpp"

namespace pyramulator {
namespace {

constexpr int kIdleRefreshes = 1000; // arrivals of refreshes without any stream able to go on

} // namespace

// ---- heads

void Engine::present(int i, int32_t operation, int32_t row, int32_t column, Tick visible) {
    Head &head = heads_[i];
    head.request = operation;
    head.row = row;
    head.column = column;
    head.visible = head.not_before = visible;
    head.holds = false;
    if (!head.active) activate(i);
    head.need = -1;
    recheck(head, i);
}

// Rule 6.
void Engine::resolve(Head &head) const {
    const auto &operations = timing_.operations();
    const Operation &request = operations[head.request];
    int32_t need = head.request;
    switch (request.row_use) {
    case RowUse::None:
    case RowUse::Close: break;
    case RowUse::Access:
        switch (banks_->state(request, head.row)) {
        case ScopeState::Open: break;
        case ScopeState::Closed: need = request.opens; break;
        case ScopeState::Other: need = request.closes; break;
        }
        break;
    case RowUse::Open:
    case RowUse::AllClosed:
        if (!banks_->all_closed(request)) need = request.closes;
        break;
    }
    head.stuck = need < 0;
    head.need = head.stuck ? static_cast<int32_t>(operations.size()) - 1 : need;
    head.slot = operations[head.need].slot;
    head.falling_edge = operations[head.need].falling_edge;
}

bool Engine::held_by_another(const Head &head, int i) const {
    if (holders_ == 0 || !timing_.operations()[head.need].closes_row) return false;
    for (int j : active_)
        if (j != i && heads_[j].holds && timing_.meet(head.need, heads_[j].request)) return true;
    return false;
}

bool Engine::excluded_by_refresh(const Head &head, int i) const {
    if (queued_refreshes_.empty() || i == streams()) return false;
    if (head.fifo) {
        for (const Entry &entry : fifo_) {
            if (entry.stream == i) return false;
            if (entry.stream == kRefreshSource) return true;
        }
        return false;
    }
    if (head.holds) return false;
    return std::any_of(queued_refreshes_.begin(), queued_refreshes_.end(),
                       [&](int32_t refresh) { return timing_.meet(refresh, head.request); });
}

// Finds out anew what the head needs, when it is ready, whether it may go and in which order.
void Engine::recheck(Head &head, int i) {
    resolve(head);
    head.key = timing_.pull(timing_.operations()[head.need]);
    head.held = held_by_another(head, i);
    head.excluded = excluded_by_refresh(head, i);
    head.front = i == streams() || (head.fifo && !fifo_.empty() && fifo_.front().stream == i);
    head.blocked =
        head.held || head.excluded || head.stuck || (head.fifo && !head.front && !head.holds);
    head.counted = i < streams() && !head.held && !head.excluded && !head.stuck && !head.fifo;
    head.plain = i < streams() && !head.fifo && !head.holds && head.need == head.request &&
                 timing_.operations()[head.need].plain && timing_.effects(head.need) != nullptr;
    if (head.holds) {
        head.priority = order(head.opened, i);
    } else if (head.fifo || i == streams()) {
        head.priority = kFrontPriority;
    } else {
        head.priority = kOrdinaryPriority | order(head.visible, i);
    }
}

void Engine::recheck_all() {
    for (int j : active_)
        recheck(heads_[j], j);
}

void Engine::activate(int i) {
    heads_[i].active = true;
    active_.push_back(i);
}

void Engine::deactivate(int i) {
    heads_[i].active = false;
    active_.erase(std::find(active_.begin(), active_.end(), i));
}

// ---- streams and barriers

// The stream's final issued in `tick` and is complete at `completed` (both 0 at the start).
void Engine::next_request(int i, Tick tick, Tick completed) {
    Stream &stream = streams_[i];
    if (stream.window == 0) {
        const Item item = stream.cursor.next();
        if (item != Item::Request) {
            leave(i, item, completed);
            return;
        }
        const Cursor &cursor = stream.cursor;
        present(i, cursor.operation, cursor.row, cursor.column, tick + 1);
        return;
    }
    if (tick == 0) {
        stream.next = stream.cursor.next();
        stream.enter_from = 1;
        if (stream.next != Item::Request) leave(i, stream.next, completed);
        return;
    }
    stream.enter_from = std::max(stream.enter_from, tick + 1);
    if (stream.queued > 0) {
        const auto entry =
            std::find_if(fifo_.begin(), fifo_.end(), [&](const Entry &e) { return e.stream == i; });
        present(i, entry->operation, entry->row, entry->column, entry->entered);
    } else if (stream.next == Item::Request) {
        deactivate(i); // until the next tick, when it enters
    } else {
        leave(i, stream.next, completed);
    }
    schedule_refill();
}

// Nothing to ask for: the stream is at its end or at a barrier, at which it arrives at `arrival`.
void Engine::leave(int i, Item item, Tick arrival) {
    if (heads_[i].active) deactivate(i);
    if (item == Item::End) {
        streams_[i].done = true;
        --running_;
    } else {
        arrive(i, streams_[i].cursor.barrier, arrival);
    }
}

void Engine::arrive(int i, int32_t id, Tick tick) {
    const auto place =
        std::find_if(barriers_.begin(), barriers_.end(), [&](auto &b) { return b.id == id; });
    Barrier &barrier = *place;
    streams_[i].barrier = static_cast<int>(place - barriers_.begin());
    barrier.latest = std::max(barrier.latest, tick);
    if (++barrier.arrived == barrier.participants.size()) {
        opening_.push_back({streams_[i].barrier, barrier.latest});
        barrier.arrived = 0;
        barrier.latest = 0;
    }
}

void Engine::open_barriers() {
    // Loops that hold nothing but barriers open many: when the slice is over, advance goes on here.
    for (uint32_t opened = 1; !opening_.empty(); ++opened) {
        const auto [barrier, tick] = opening_.back();
        opening_.pop_back();
        for (int i : barriers_[barrier].participants)
            proceed(i, tick);
        if (opened % 1024 == 0 && slice_is_over()) return;
    }
}

void Engine::proceed(int i, Tick opened) {
    Stream &stream = streams_[i];
    stream.barrier = -1;
    const Item item = stream.cursor.next();
    if (item != Item::Request) {
        stream.next = item;
        leave(i, item, opened);
    } else if (stream.window == 0) {
        present(i, stream.cursor.operation, stream.cursor.row, stream.cursor.column, opened + 1);
    } else {
        stream.next = item;
        stream.enter_from = opened + 1;
        schedule_refill();
    }
}

// ---- the priority FIFO

// Refreshes that fall due, then requests of fifo streams, enter at the start of a tick.
void Engine::arrivals(Tick tick) {
    if (stalls_wanted_)
        for (int j : active_)
            if (j < streams()) ledger_->charge(heads_[j], j, tick - 1);
    if (tick == refresh_due_) {
        refresh_due_ += device_.refresh_interval;
        for (size_t i = refresh_turn_; i < refresh_operations_.size(); i += refresh_turns_) {
            const int32_t operation = refresh_operations_[i];
            fifo_.push_back({kRefreshSource, operation, -1, -1, tick});
            queued_refreshes_.push_back(operation);
        }
        refresh_turn_ = (refresh_turn_ + 1) % refresh_turns_;
    }
    if (tick == refill_due_) refill(tick);
    front_changed(tick);
    recheck_all();
    choose(tick, tick);
    if (running_ == 0) return;
    const bool stream_can_go = std::any_of(
        active_.begin(), active_.end(), [&](int j) { return j < streams() && !heads_[j].blocked; });
    idle_refreshes_ = stream_can_go ? 0 : idle_refreshes_ + 1;
    if (idle_refreshes_ > kIdleRefreshes) deadlock();
}

void Engine::refill(Tick tick) {
    for (int i = 0; i < streams(); ++i) {
        Stream &stream = streams_[i];
        while (stream.queued < stream.window && stream.next == Item::Request &&
               stream.enter_from <= tick && stream.barrier < 0 && !stream.done) {
            const Cursor &cursor = stream.cursor;
            fifo_.push_back({i, cursor.operation, cursor.row, cursor.column, tick});
            if (stream.queued++ == 0) present(i, cursor.operation, cursor.row, cursor.column, tick);
            stream.next = stream.cursor.next();
        }
    }
    schedule_refill();
}

void Engine::schedule_refill() {
    refill_due_ = kForever;
    for (const Stream &stream : streams_)
        if (stream.queued < stream.window && stream.next == Item::Request && stream.barrier < 0 &&
            !stream.done)
            refill_due_ = std::min(refill_due_, stream.enter_from);
}

void Engine::pop_front(Tick tick) {
    const Entry &entry = fifo_.front();
    if (entry.stream == kRefreshSource) {
        queued_refreshes_.erase(
            std::find(queued_refreshes_.begin(), queued_refreshes_.end(), entry.operation));
        deactivate(streams());
    } else {
        --streams_[entry.stream].queued;
    }
    fifo_.pop_front();
    front_changed(tick);
}

void Engine::front_changed(Tick tick) {
    ledger_->blocker = fifo_.empty() ? -1 : fifo_.front().stream;
    if (fifo_.empty() || fifo_.front().stream != kRefreshSource || heads_[streams()].active) return;
    const Entry &entry = fifo_.front();
    present(streams(), entry.operation, entry.row, entry.column, tick);
    heads_[streams()].not_before = 0;
}

// ---- rule 18

std::string Engine::describe(int i) const {
    const Stream &stream = streams_[i];
    const Head &head = heads_[i];
    const std::string who = "stream " + std::to_string(i) + ": ";
    if (stream.barrier >= 0) {
        const Barrier &barrier = barriers_[stream.barrier];
        std::string missing;
        for (int other : barrier.participants)
            if (streams_[other].barrier != stream.barrier)
                missing += (missing.empty() ? "" : ", ") + std::to_string(other);
        return who + "waits at barrier " + std::to_string(barrier.id) + " (record " +
               std::to_string(stream.cursor.record()) + ") for stream " + missing + " (rule 8)";
    }
    if (!head.active) return who + "waits to enter the FIFO (rule 15)";
    const Operation &request = timing_.operations()[head.request];
    const Command &command = device_.commands[request.command];
    std::string where = command.name + " at (";
    for (int32_t part : distinct_.address(request.target))
        where += std::to_string(part) + ", ";
    where += "row " + std::to_string(head.row) + ")";
    if (head.stuck) {
        const bool opens = command.row_use == RowUse::Access && banks_->all_closed(request);
        return who + where + " needs a command that " + (opens ? "opens" : "closes") +
               " its banks, and " + command.name + " names none (rule 6)";
    }
    if (head.held) return who + where + " may not close a held bank (rule 9)";
    if (head.fifo && !head.front)
        return who + where + " waits behind the front of the FIFO (rule 15)";
    return who + where + " waits for a refresh in the FIFO (rule 11(d))";
}

void Engine::deadlock() const {
    std::string message = "nothing can issue any more: ";
    int told = 0;
    for (int i = 0; i < streams() && told < 4; ++i) {
        if (streams_[i].done) continue;
        message += (told++ > 0 ? "; " : "") + describe(i);
    }
    if (running_ > told) message += "; and " + std::to_string(running_ - told) + " more";
    throw Fault(PYR_DEADLOCK, message);
}

} // namespace pyramulator
