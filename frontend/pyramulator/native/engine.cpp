#include "engine.hpp"

#include <algorithm>

namespace pyramulator {
namespace {

constexpr uint32_t kStepsPerLook = 1024; // steps between two looks at the clock and at cancel

constexpr int64_t kRepeats = 1 << 20; // requests that one step may take together

} // namespace

Engine::Engine(Device device, const int32_t *targets, int64_t n_targets, bool log, bool stalls)
    : device_(std::move(device)), tree_(device_), timing_(device_, tree_, distinct_),
      table_(device_, targets, n_targets), log_wanted_(log), stalls_wanted_(stalls),
      bus_(device_.bus, timing_), counts_(device_.commands.size(), 0) {}

void Engine::add_stream(const Record *records, int64_t n, int32_t window) {
    if (started_) throw Fault(PYR_MISUSE, "streams must be added before the first advance");
    if (streams() >= kMaxStreams)
        throw Fault(PYR_BAD_STREAM, "streams must be at most " + std::to_string(kMaxStreams));
    auto barrier_ids = check_stream(streams(), records, n, device_, table_, timing_);
    streams_.push_back(
        {Cursor(records, n, table_), window, 0, Item::End, 1, -1, false, std::move(barrier_ids)});
}

void Engine::start() {
    started_ = true;
    if (device_.refresh_command >= 0) {
        for (int node = 0; node < tree_.nodes(device_.refresh_scope); ++node) {
            refresh_operations_.push_back(timing_.operation(
                device_.refresh_command, tree_.address_of(node, device_.refresh_scope)));
        }
        refresh_turns_ = refresh_operations_.size() / tree_.nodes(device_.refresh_in_turn);
        refresh_due_ = device_.refresh_interval;
    }
    timing_.compile();
    banks_ = std::make_unique<Banks>(device_, tree_, timing_);
    ledger_ = std::make_unique<Ledger>(stalls_wanted_, streams(), timing_, bus_);
    heads_.assign(streams() + 1, {});
    for (int i = 0; i < streams(); ++i) {
        for (int32_t id : streams_[i].barrier_ids) {
            auto place = std::find_if(barriers_.begin(), barriers_.end(),
                                      [&](auto &b) { return b.id == id; });
            if (place == barriers_.end()) place = barriers_.insert(barriers_.end(), {id, {}});
            place->participants.push_back(i);
        }
        heads_[i].fifo = streams_[i].window > 0;
    }
    running_ = streams();
    for (int i = 0; i < streams(); ++i)
        next_request(i, 0, 0);
    open_barriers();
    schedule_refill();
    choose(1, 1);
}

int Engine::advance(Tick until, int64_t slice_ns) {
    if (failed_) throw Fault(PYR_MISUSE, "the run has failed and cannot go on");
    if (finished_) return PYR_FINISHED;
    failed_ = true; // until this call returns in order
    using Clock = std::chrono::steady_clock;
    slice_end_ = Clock::time_point::max();
    if (slice_ns > 0) slice_end_ = Clock::now() + std::chrono::nanoseconds(slice_ns);
    if (!started_) start();
    countdown_ = kStepsPerLook;
    until_ = until;
    int status = PYR_OK;
    if (cancelled_.load(std::memory_order_relaxed))
        throw Fault(PYR_CANCELLED, "the run was cancelled");
    for (;;) {
        if (!opening_.empty()) { // the last slice was over before all barriers were open
            open_barriers();
            choose(row_from_, column_from_);
            if (!opening_.empty()) {
                status = PYR_PAUSED;
                break;
            }
        }
        const Tick arrival = std::min(refresh_due_, refill_due_);
        const Tick next = std::min(std::min(row_.tick, column_.tick), arrival);
        const Tick limit = running_ == 0 ? std::min(until, end_) : until;
        if (next > limit) {
            if (running_ == 0 && end_ <= until) {
                finish();
                status = PYR_FINISHED;
            } else if (running_ > 0 && next >= kForever) {
                deadlock();
            } else if (until >= kMaxTick) {
                throw Fault(PYR_UNSUPPORTED, "the run must end before tick 2^45");
            }
            break;
        }
        if (--countdown_ == 0) {
            countdown_ = kStepsPerLook;
            if (slice_is_over()) {
                status = PYR_PAUSED;
                break;
            }
        }
        if (next == arrival) {
            arrivals(next);
        } else {
            step(next);
        }
    }
    failed_ = false;
    return status;
}

bool Engine::slice_is_over() const {
    if (cancelled_.load(std::memory_order_relaxed))
        throw Fault(PYR_CANCELLED, "the run was cancelled");
    return std::chrono::steady_clock::now() >= slice_end_;
}

void Engine::step(Tick tick) {
    int row_winner = -1, column_winner = -1;
    if (column_.tick == tick) {
        column_winner = column_.head;
        row_from_ = tick;
        column_from_ = tick + 1;
        issue(column_winner, tick);
    }
    if (row_.tick == tick) {
        row_winner = row_.head;
        row_from_ = column_from_ = tick + 1;
        issue(row_winner, tick);
    }
    if (stalls_wanted_) ledger_->close_tick(heads_, tick, row_winner, column_winner);
}

inline void Engine::consider(const Head &head, int i, Choice &row, Choice &column) const {
    if (head.blocked) return;
    const Tick ready = std::max(ready_tick(head.key), head.not_before);
    if (head.slot == kColumnSlot) {
        column.offer(bus_.next_rising(std::max(ready, column_from_)), head.priority, i);
    } else {
        row.offer(bus_.next_row_slot(head, std::max(ready, row_from_)), head.priority, i);
    }
}

void Engine::choose(Tick row_from, Tick column_from) {
    row_from_ = row_from;
    column_from_ = column_from;
    Choice row, column;
    for (int i : active_)
        consider(heads_[i], i, row, column);
    row_ = row;
    column_ = column;
}

void Engine::record(const Head &head, const Operation &op, int i, Tick tick) {
    LogRecord &out = log_.emplace_back();
    out.tick = tick;
    out.command = op.command;
    out.source = i < streams() ? i : kRefreshSource;
    const Address &address = distinct_.address(op.target);
    std::copy(address.begin(), address.end(), out.address);
    out.address[device_.depth] = head.row;
    out.address[device_.depth + 1] = head.column;
    std::fill(out.address + device_.depth + 2, out.address + 8, 0);
}

void Engine::issue(int i, Tick tick) {
    Head &head = heads_[i];
    const int32_t number = head.need;
    const Operation &op = timing_.operations()[number];
    ++counts_[op.command];
    if (log_wanted_) record(head, op, i, tick);
    if (stalls_wanted_ && i < streams()) ledger_->issued(head, i, tick);
    if (head.plain) {
        issue_plain(i, op, number, tick);
    } else {
        issue_other(i, op, number, tick);
    }
}

// A final that moves no bank, no hold, no FIFO and no window: other heads see its latencies only.
void Engine::issue_plain(int i, const Operation &op, int32_t number, Tick tick) {
    timing_.push_plain(op, tick);
    if (op.slot == kRowSlot) bus_.row_issued(number, tick);
    end_ = std::max(end_, tick + op.completion);
    idle_refreshes_ = 0;
    const Key *effects = timing_.effects(number);
    const Key now = Timing::event(op, tick);

    Head &head = heads_[i];
    if (streams_[i].cursor.next_same()) { // the same command in the same state, one tick later
        head.key = std::max(head.key, now + effects[number]);
        head.column = streams_[i].cursor.column;
        head.visible = head.not_before = tick + 1;
        head.priority = kOrdinaryPriority | order(tick + 1, i);
        if (active_.size() == 1 && opening_.empty()) {
            repeat_alone(i, op, number, tick);
            choose(row_from_, column_from_);
            return;
        }
    } else {
        next_request(i, tick, tick + op.completion);
        if (!opening_.empty()) open_barriers();
    }

    // In a column slot, and on any bus without half clocks, a head of the same slot had it offered.
    const uint8_t slot = op.slot;
    const bool offered = slot == kColumnSlot || !bus_.half_clock();
    const int last = streams();
    Choice row, column;
    for (int j : active_) {
        Head &other = heads_[j];
        const Key key = now + effects[other.need];
        if (stalls_wanted_ && j != i && j != last &&
            (key > other.key || ready_tick(other.key) <= tick)) {
            if (!other.counted || other.visible > other.from) {
                ledger_->contest(other, j, tick);
            } else if (ready_tick(other.key) > tick) {
                ledger_->charge_row(other, j, tick);
            } else if (offered && other.slot == slot) {
                ledger_->lose(other, j, i, tick);
            } else {
                ledger_->contest(other, j, tick);
            }
        }
        other.key = std::max(other.key, key);
        consider(other, j, row, column);
    }
    row_ = row;
    column_ = column;
}

// The stream issued in `tick` and needs the same command again; no other head has a request. While
// its own last issue is what it waits for, it issues at equal distances until something arrives.
void Engine::repeat_alone(int i, const Operation &op, int32_t number, Tick tick) {
    Head &head = heads_[i];
    const Key effect = timing_.effects(number)[number];
    const Key now = Timing::event(op, tick);
    const Tick latency = ready_tick(now + effect) - tick;
    if (head.key != now + effect || latency < 1 || op.falling_edge) return;
    const Tick period = bus_.next_rising(tick + latency) - tick;
    const Tick last = std::min(until_, std::min(refresh_due_, refill_due_) - 1);
    const int64_t most = std::min<int64_t>((last - tick) / period, kRepeats);
    Cursor &cursor = streams_[i].cursor;
    int64_t repeats = 0;
    if (!log_wanted_) {
        repeats = cursor.skip_same(most);
    } else {
        for (; repeats < most && cursor.next_same(); ++repeats) {
            record(head, op, i, tick + (repeats + 1) * period);
            head.column = cursor.column;
        }
    }
    if (repeats <= 0) return;
    countdown_ -= static_cast<uint32_t>(std::min<int64_t>(countdown_ - 1, repeats / kStepsPerLook));
    if (stalls_wanted_) ledger_->repeated(head, i, repeats, latency, period);
    tick += repeats * period;
    counts_[op.command] += repeats;
    timing_.push_plain(op, tick);
    if (op.slot == kRowSlot) bus_.row_issued(number, tick);
    end_ = std::max(end_, tick + op.completion);
    head.key = Timing::event(op, tick) + effect;
    head.column = cursor.column;
    head.visible = head.not_before = head.from = tick + 1;
    head.priority = kOrdinaryPriority | order(tick + 1, i);
    row_from_ = column_from_ = tick + 1;
}

// Anything else: what the heads need, and whether they may go, can change.
void Engine::issue_other(int i, const Operation &op, int32_t number, Tick tick) {
    const bool is_stream = i < streams();
    if (stalls_wanted_) {
        for (int j : active_)
            if (j != i && j < streams()) ledger_->contest(heads_[j], j, tick);
    }
    if (op.slot == kRowSlot) bus_.row_issued(number, tick);
    timing_.push(op, tick);
    if (op.row_use == RowUse::Open) banks_->open(op, heads_[i].row, tick);
    if (op.closes_row) banks_->close(op, tick);
    if (op.refresh) banks_->refresh(op, tick);

    Head &head = heads_[i];
    const bool final = number == head.request;
    const bool held = head.holds;
    if (final) {
        head.holds = false;
    } else {
        if (is_stream && !head.fifo) head.not_before = tick + 1;
        if (op.row_use == RowUse::Open &&
            timing_.operations()[head.request].row_use == RowUse::Access) {
            head.holds = true;
            head.opened = tick;
        }
    }
    const bool holders_changed = held != head.holds;
    holders_ += int(head.holds) - int(held);
    const bool fifo_changed = final && (head.fifo || !is_stream);
    if (fifo_changed) pop_front(tick);
    if (is_stream) idle_refreshes_ = 0;
    if (final && is_stream) {
        end_ = std::max(end_, tick + op.completion);
        next_request(i, tick, tick + op.completion);
        if (!opening_.empty()) open_barriers();
    } else if (!final) {
        recheck(head, i);
    }
    if (fifo_changed || timing_.effects(number) == nullptr) {
        recheck_all();
    } else {
        update_others(i, op, number, tick, holders_changed);
    }
    choose(row_from_, column_from_);
}

void Engine::update_others(int i, const Operation &op, int32_t number, Tick tick,
                           bool holders_changed) {
    const Key *effects = timing_.effects(number);
    const uint8_t *relations = timing_.relations(number);
    const Key now = Timing::event(op, tick);
    const bool banks_changed = op.closes_row || op.row_use == RowUse::Open;
    for (int j : active_) {
        Head &other = heads_[j];
        const uint8_t relation = relations[other.need];
        if (j == i) continue;
        if (banks_changed && (relations[other.request] & Timing::kMeets) != 0) {
            recheck(other, j);
            continue;
        }
        if ((relation & Timing::kMovesWindow) != 0) {
            other.key = timing_.pull(timing_.operations()[other.need]);
        } else {
            other.key = std::max(other.key, now + effects[other.need]);
        }
        if (holders_changed && timing_.operations()[other.need].closes_row) recheck(other, j);
    }
}

void Engine::finish() {
    if (stalls_wanted_)
        for (int i = 0; i < streams(); ++i)
            ledger_->done(heads_[i], i, end_);
    finished_ = true;
}

} // namespace pyramulator
