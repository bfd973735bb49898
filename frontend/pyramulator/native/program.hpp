// Streams of records: checked once, then read in place, one request at a time.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "timing.hpp"

namespace pyramulator {

struct Record {
    uint16_t command;
    uint16_t target;
    int32_t row;
    int16_t column;
    int16_t column_step;
    uint32_t count;
};
static_assert(sizeof(Record) == 16);

constexpr uint16_t kLoop = 0xFFFD;
constexpr uint16_t kEnd = 0xFFFE;
constexpr uint16_t kBarrier = 0xFFFF;

// The operation of each (command, row of the target table) that some record names.
class OperationTable {
public:
    OperationTable(const Device &device, const int32_t *targets, int64_t n_targets);

    int64_t targets() const { return n_targets_; }
    // -1 where no record has named it yet.
    int32_t find(uint32_t command, uint32_t target) const {
        return table_[command * n_targets_ + target];
    }
    // Makes the operation; returns a reason where the target does not suit the command, else "".
    std::string make(uint32_t command, uint32_t target, Timing &timing);

private:
    const Device &device_;
    int64_t n_targets_;
    std::vector<Address> addresses_;
    std::vector<int32_t> table_;
};

// Checks a whole stream, makes its operations and lists the ids of its barriers (each once).
// Throws Fault(PYR_BAD_STREAM) that names stream, record and reason.
std::vector<int32_t> check_stream(int stream, const Record *records, int64_t n,
                                  const Device &device, OperationTable &table, Timing &timing);

enum class Item { Request, Barrier, End };

// A place in a stream.
class Cursor {
public:
    Cursor(const Record *records, int64_t n, const OperationTable &table)
        : at_(records), end_(records + n), table_(&table), begin_(records) {}

    int32_t operation = -1; // of the last Request
    int32_t row = 0;
    int32_t column = 0;
    int32_t barrier = 0; // id of the last Barrier

    Item next() {
        if (left_ > 0) {
            --left_;
            column += step_;
            return Item::Request;
        }
        if (at_ == end_) return Item::End;
        if (at_->command >= kLoop) return control();
        return load();
    }
    // The common case of next(): moves on if the next request is of the same operation and row.
    bool next_same() {
        if (left_ > 0) {
            --left_;
            column += step_;
            return true;
        }
        if (at_ == end_ || what(*at_) != what_) return false;
        column = static_cast<int32_t>(at_->column + column_offset_);
        step_ = at_->column_step;
        left_ = at_->count - 1;
        ++at_;
        return true;
    }
    // Moves on by up to `most` requests of the same operation and row; returns by how many.
    int64_t skip_same(int64_t most) {
        int64_t skipped = 0;
        while (skipped < most && next_same()) {
            const int64_t more = std::min<int64_t>(left_, most - ++skipped);
            left_ -= static_cast<uint32_t>(more);
            column += static_cast<int32_t>(more) * step_;
            skipped += more;
        }
        return skipped;
    }
    // Records before the one that the last item came from.
    int64_t record() const { return at_ - begin_ - 1; }

private:
    struct Loop {
        const Record *head;
        uint32_t iteration;
    };

    // Command, target and row in one word.
    static uint64_t what(const Record &record) {
        uint64_t word;
        std::memcpy(&word, &record, sizeof(word));
        return word;
    }

    Item load() {
        const Record &record = *at_++;
        what_ = what(record);
        operation = table_->find(record.command, record.target);
        row = static_cast<int32_t>(record.row + row_offset_);
        column = static_cast<int32_t>(record.column + column_offset_);
        step_ = record.column_step;
        left_ = record.count - 1;
        return Item::Request;
    }
    Item control();

    const Record *at_;
    const Record *end_;
    uint64_t what_ = ~uint64_t{0};
    uint32_t left_ = 0;
    int32_t step_ = 0;
    int64_t row_offset_ = 0; // of the open loops; what they add to a request fits 32 bits
    int64_t column_offset_ = 0;
    const OperationTable *table_;
    const Record *begin_;
    std::vector<Loop> loops_;
};

} // namespace pyramulator
