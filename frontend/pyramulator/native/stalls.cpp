#include "stalls.hpp"

#include <algorithm>

namespace pyramulator {

Ledger::Ledger(bool wanted, int streams, const Timing &timing, const CommandBus &bus)
    : wanted_(wanted), streams_(streams), codes_((timing.rows_by_rank().size()) << kRankShift),
      timing_(timing), bus_(bus) {
    if (!wanted) return;
    classes_.assign(size_t(streams) * kClasses, 0);
    rows_.assign(size_t(streams) * codes_, 0);
    slots_.assign(size_t(streams) * (streams + 1), 0);
}

void Ledger::add(Head &head, int64_t &to, Tick tick) {
    if (tick < head.from) return;
    to += tick - head.from + 1;
    head.charged = &to;
    head.from = tick + 1;
}

void Ledger::charge(Head &head, int stream, Tick tick) {
    if (tick < head.from) return;
    add(head, counter(stream, kBarrierWait), std::min(tick, head.visible - 1));
    if (head.held || head.stuck) {
        add(head, counter(stream, kHeld), tick);
    } else if (head.excluded) {
        add(head, counter(stream, kRefresh), tick);
    } else {
        add(head, row_counter(stream, code_of(head.key)), std::min(tick, ready_tick(head.key) - 1));
        charge_ready(head, stream, tick);
    }
}

// Ready, and nothing issued in these ticks: no slot, or a fifo stream stood behind another.
void Ledger::charge_ready(Head &head, int stream, Tick tick) {
    if (!head.fifo || head.front) {
        add(head, counter(stream, kEdge), tick);
        return;
    }
    if (head.from < tick) {
        const int64_t offered = blocker >= 0 ? bus_.offered(head, head.from, tick - 1) : 0;
        if (offered > 0) slot_counter(stream, blocker) += offered;
        counter(stream, kEdge) += tick - head.from - offered;
        head.from = tick;
    }
    const bool offered = blocker >= 0 && bus_.offers(head, tick);
    add(head, offered ? slot_counter(stream, blocker) : counter(stream, kEdge), tick);
}

void Ledger::contest(Head &head, int stream, Tick tick) {
    if (tick < head.from) return;
    const bool ready = tick >= head.visible && !head.held && !head.stuck && !head.excluded &&
                       ready_tick(head.key) <= tick;
    if (!ready) {
        charge(head, stream, tick);
        return;
    }
    charge(head, stream, tick - 1);
    if (bus_.offers(head, tick)) {
        contested_.push_back({stream, head.slot});
        head.charged = nullptr;
        head.from = tick + 1;
    } else {
        add(head, counter(stream, kEdge), tick);
    }
}

void Ledger::issued_otherwise(Head &head, int stream, Tick tick) {
    if (head.issued_at == tick) return; // two requests of a fifo stream, one in each slot
    if (head.from <= tick) {
        charge(head, stream, tick - 1);
    } else if (head.charged != nullptr) {
        --*head.charged; // the tick's first slot changed what the head needs
    }
    ++counter(stream, kIssued);
    head.issued_at = tick;
    head.from = tick + 1;
}

void Ledger::settle_contests(const std::vector<Head> &heads, Tick tick, int row_winner,
                             int column_winner) {
    for (const Contest &one : contested_) {
        if (heads[one.stream].issued_at == tick) continue;
        int winner = one.slot == kRowSlot ? row_winner : column_winner;
        // Its slot stayed empty: the command in the tick's other slot made it unready.
        if (winner < 0) winner = one.slot == kRowSlot ? column_winner : row_winner;
        ++slot_counter(one.stream, winner);
    }
    contested_.clear();
}

void Ledger::done(const Head &head, int stream, Tick end) {
    if (head.from <= end) counter(stream, kDone) += end - head.from + 1;
}

void Ledger::write(int n_rows, int64_t *classes, int64_t *slot_to, int64_t *rows) const {
    std::copy(classes_.begin(), classes_.end(), classes);
    std::copy(slots_.begin(), slots_.end(), slot_to);
    std::fill(rows, rows + size_t(streams_) * n_rows, 0);
    for (int stream = 0; stream < streams_; ++stream) {
        int64_t *to = classes + size_t(stream) * kClasses;
        for (size_t code = size_t{1} << kRankShift; code < codes_; ++code) {
            const int64_t ticks = rows_[size_t(stream) * codes_ + code];
            const int row = timing_.rows_by_rank()[code >> kRankShift];
            if ((code & kRefreshBit) != 0) {
                to[kRefresh] += ticks;
            } else {
                rows[size_t(stream) * n_rows + row] += ticks;
            }
        }
        for (int winner = 0; winner <= streams_; ++winner)
            to[kSlot] += slots_[size_t(stream) * (streams_ + 1) + winner];
    }
}

} // namespace pyramulator
