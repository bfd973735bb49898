#include "tree.hpp"

namespace pyramulator {

Tree::Tree(const Device &device)
    : sizes_(device.sizes.begin(), device.sizes.begin() + device.depth) {
    int count = 1;
    for (int size : sizes_)
        nodes_.push_back(count *= size);
}

std::vector<int> Tree::matched(const Address &address, int level) const {
    std::vector<int> nodes{0};
    for (int l = 0; l <= level; ++l) {
        std::vector<int> next;
        for (int node : nodes) {
            if (address[l] >= 0) {
                next.push_back(node * sizes_[l] + address[l]);
            } else {
                for (int child = 0; child < sizes_[l]; ++child)
                    next.push_back(node * sizes_[l] + child);
            }
        }
        nodes.swap(next);
    }
    return nodes;
}

std::vector<int> Tree::siblings(int node, int level) const {
    std::vector<int> out;
    const int first = node - node % sizes_[level];
    for (int child = first; child < first + sizes_[level]; ++child)
        if (child != node) out.push_back(child);
    return out;
}

int Tree::ancestor(int node, int from_level, int level) const {
    for (int l = from_level; l > level; --l)
        node /= sizes_[l];
    return node;
}

std::vector<BankRange> Tree::bank_ranges(const Address &address) const {
    std::vector<BankRange> ranges;
    for (int bank : matched(address, static_cast<int>(sizes_.size()) - 1)) {
        if (!ranges.empty() && ranges.back().first + ranges.back().count == bank) {
            ++ranges.back().count;
        } else {
            ranges.push_back({bank, 1});
        }
    }
    return ranges;
}

Address Tree::address_of(int node, int level) const {
    Address address(sizes_.size(), -1);
    for (int l = level; l >= 0; --l) {
        address[l] = node % sizes_[l];
        node /= sizes_[l];
    }
    return address;
}

bool meet(const Address &a, const Address &b) {
    for (size_t l = 0; l < a.size(); ++l)
        if (a[l] >= 0 && b[l] >= 0 && a[l] != b[l]) return false;
    return true;
}

int Targets::id(const Address &address) {
    const auto [place, is_new] = ids_.try_emplace(address, size());
    if (is_new) addresses_.push_back(address);
    return place->second;
}

} // namespace pyramulator
