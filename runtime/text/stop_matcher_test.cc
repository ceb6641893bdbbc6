#include "runtime/text/stop_matcher.h"

#include <random>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

// The first end of a stop string in `text`, by trying everything.
struct Expected {
  size_t end = std::string::npos;
  int stop = -1;
};

Expected FindPlainly(const std::vector<std::string>& stops,
                     std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    Expected found;
    for (size_t i = 0; i < stops.size(); ++i) {
      const bool ends_here =
          stops[i].size() <= end &&
          text.substr(end - stops[i].size(), stops[i].size()) == stops[i];
      if (ends_here &&
          (found.stop < 0 || stops[i].size() > stops[found.stop].size())) {
        found = {end, static_cast<int>(i)};
      }
    }
    if (found.stop >= 0) return found;
  }
  return {};
}

size_t PendingPlainly(const std::vector<std::string>& stops,
                      std::string_view text) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t length = 1; length < stop.size(); ++length) {
      if (length <= text.size() &&
          text.substr(text.size() - length) == stop.substr(0, length)) {
        longest = std::max(longest, length);
      }
    }
  }
  return longest;
}

TEST(StopMatcherTest, AgreesWithPlainSearch) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> stops(1 + random() % 4);
    for (std::string& stop : stops) {
      const int length = 1 + random() % 5;
      for (int i = 0; i < length; ++i) stop.push_back("ab"[random() % 2]);
    }
    std::string text;
    StopMatcher matcher(stops);
    for (int i = 0; i < 30; ++i) {
      text.push_back("aab"[random() % 3]);
      const int stop = matcher.Push(static_cast<uint8_t>(text.back()));
      const Expected expected = FindPlainly(stops, text);
      if (stop < 0) {
        ASSERT_EQ(expected.stop, -1) << text;
        ASSERT_EQ(matcher.num_pending(), PendingPlainly(stops, text)) << text;
        continue;
      }
      ASSERT_EQ(expected.end, text.size());
      ASSERT_EQ(stops[stop], stops[expected.stop]);
      break;
    }
  }
}

TEST(StopMatcherTest, WithoutStringsNothingIsPending) {
  StopMatcher matcher({"", "\x80", "a\xFF"});
  for (int byte : {0x61, 0x80, 0xFF, 0}) {
    EXPECT_EQ(matcher.Push(static_cast<uint8_t>(byte)), -1);
    EXPECT_EQ(matcher.num_pending(), 0u);
  }
}

}  // namespace
}  // namespace blockserve
