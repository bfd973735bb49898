// The 16-byte records of a stream: checked whole, then walked request by request.
#pragma once

#include <vector>

#include "operations.hpp"

namespace ramulator_bridge {

struct Record {
    uint16_t command;  // or one of the three below
    uint16_t target;
    int32_t row;       // LOOP: step a turn; BARRIER: id
    int16_t column;    // LOOP: step a turn
    int16_t column_step;
    uint32_t count;    // LOOP: turns
};
static_assert(sizeof(Record) == 16);

constexpr int kLoop = 0xFFFD;
constexpr int kEnd = 0xFFFE;
constexpr int kBarrier = 0xFFFF;

enum class Item { Request, Barrier, End };

// A checked stream and the place that the run has reached in it.
class Walk {
public:
    // The records stay where they are. Throws Fault(PYR_BAD_STREAM) that names stream, record, reason.
    Walk(int stream, const Record *records, int64_t n, const Standard &standard, Operations &operations);

    Item next();

    // Of the last request, or of the last barrier.
    int operation() const { return operation_; }
    int32_t row() const { return static_cast<int32_t>(row_); }
    int32_t column() const { return static_cast<int32_t>(column_); }
    int32_t barrier() const { return barrier_; }
    int64_t record() const { return at_ - 1; }  // the record that the last item came from

    const std::vector<int32_t> &barrier_ids() const { return barrier_ids_; }  // each once

private:
    struct Turn {
        int64_t loop;  // its record
        uint32_t done;
    };

    const Record *records_;
    int64_t n_;
    Operations *operations_;
    std::vector<int32_t> barrier_ids_;
    std::vector<Turn> turns_;
    int64_t at_ = 0;
    int64_t row_offset_ = 0, column_offset_ = 0;
    uint32_t left_ = 0;  // copies of the last request's record that are still to come
    int operation_ = kNone;
    int64_t row_ = 0, column_ = 0;
    int32_t barrier_ = 0;
};

}  // namespace ramulator_bridge
