// An operation: a command at an address, with the bank nodes of Ramulator's device that it matches.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "ramulator/dram/device.h"
#include "standard.hpp"

namespace ramulator_bridge {

using Target = std::vector<int>;  // one number a target level, -1 = all children

struct Operation {
    int command;
    Ramulator::AddrVec_t address;  // row and column are filled in at each issue
    std::vector<int> bank_numbers;
    std::vector<Ramulator::DRAMNode *> banks;
    std::vector<const Ramulator::Clk_t *> ready;  // the device's, of this command, in each matched node
    int opens = kNone;   // operations
    int closes = kNone;
    Slot slot;
    RowUse row_use;
    bool closes_row, falling_edge;

    bool changes_banks() const { return closes_row || row_use == RowUse::Open; }
};

class Operations {
public:
    Operations(const Standard &standard, std::vector<Target> targets, Ramulator::DRAMDevice &device)
        : standard_(standard), device_(device), targets_(std::move(targets)),
          of_record_(standard.commands.size() * targets_.size(), kNone) {}

    const std::vector<Target> &targets() const { return targets_; }

    // The operation of a command at a target; the levels below the command's scope become -1.
    int make(int command, const Target &target);

    // The same for a command and the number of a target, as records name them.
    int of_record(int command, int target) {
        int &number = of_record_[command * targets_.size() + target];
        return number != kNone ? number : number = make(command, targets_[target]);
    }

    Operation &operator[](int number) { return all_[number]; }
    const Operation &operator[](int number) const { return all_[number]; }

    // The first tick that Ramulator's device allows the operation at, as things are: what its
    // check_timing would say yes to. Never earlier later on.
    Tick ready(int number) const;

    // Whether some bank is matched by both.
    bool meet(int a, int b) const;
    // Whether both address a common node of level 1 (all of them where there is no such level).
    bool share_pseudo_channel(int a, int b) const;

private:
    const Standard &standard_;
    Ramulator::DRAMDevice &device_;
    const std::vector<Target> targets_;
    std::vector<int> of_record_;
    std::vector<Operation> all_;
    std::map<std::pair<int, Target>, int> numbers_;
};

}  // namespace ramulator_bridge
