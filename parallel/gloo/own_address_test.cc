#include "parallel/gloo/own_address.h"

#include <gtest/gtest.h>

namespace blockserve {
namespace {

TEST(OwnAddressTest, TakesAnAddressOfThisHost) {
  EXPECT_TRUE(CheckOwnAddress("127.0.0.1").ok());
}

TEST(OwnAddressTest, RefusesOtherHostsAndOtherThings) {
  // Documentation's own network, and what names or stands for more than one.
  for (const char* const address :
       {"192.0.2.1", "", "localhost", "::1", "127.0.0.1:80", "127.1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckOwnAddress(address))) << address;
  }
}

}  // namespace
}  // namespace blockserve
