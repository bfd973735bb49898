// The tree of nodes, and targets: sets of nodes that an address with wildcards matches (rule 3).
#pragma once

#include <map>
#include <vector>

#include "description.hpp"

namespace pyramulator {

using Address = std::vector<int32_t>; // one number a target level, -1 = all children

struct BankRange {
    int first;
    int count;
};

class Tree {
public:
    explicit Tree(const Device &device);

    int nodes(int level) const { return nodes_[level]; }
    int banks() const { return nodes_.back(); }

    // Nodes of `level` that the address matches, ascending.
    std::vector<int> matched(const Address &address, int level) const;
    // Children of the same parent as `node`, without `node`.
    std::vector<int> siblings(int node, int level) const;
    // The ancestor at `level` of a node at `from_level`.
    int ancestor(int node, int from_level, int level) const;
    std::vector<BankRange> bank_ranges(const Address &address) const;
    Address address_of(int node, int level) const;

private:
    const std::vector<int> sizes_;
    std::vector<int> nodes_;
};

// Whether two addresses match a common bank.
bool meet(const Address &a, const Address &b);

// Distinct addresses, numbered.
class Targets {
public:
    int id(const Address &address);
    const Address &address(int id) const { return addresses_[id]; }
    int size() const { return static_cast<int>(addresses_.size()); }

private:
    std::map<Address, int> ids_;
    std::vector<Address> addresses_;
};

} // namespace pyramulator
