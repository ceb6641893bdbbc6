#include "runtime/serving/listen_address.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace blockserve {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddressTest, ParsesEveryForm) {
  EXPECT_EQ(ParseListenAddress("localhost:80")->ToString(), "localhost:80");
  EXPECT_EQ(ParseListenAddress("0.0.0.0:0")->ToString(), "0.0.0.0:0");
  EXPECT_EQ(ParseListenAddress("[::1]:65535")->ToString(), "[::1]:65535");
  EXPECT_EQ(ParseListenAddress("[::1]:1")->host, "::1");
  EXPECT_EQ(ParseListenAddress(":50051")->ToString(), "0.0.0.0:50051");
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "50051", "localhost", "localhost:", "localhost:http", "a:-1",
        "a:65536", "::1:80", "[::1:80", "[]:80", "a:99999999999999"}) {
    const auto address = ParseListenAddress(text);
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument)
        << text;
    EXPECT_THAT(address.status().message(), HasSubstr(text));
  }
}

TEST(ListenAddressTest, NamesTheTakenPort) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any = {};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t length = sizeof(any);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&any), &length), 0);
  const int port = ntohs(any.sin_port);
  for (const char* host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    const absl::Status status = CheckListenable({host, port});
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << host;
    EXPECT_THAT(status.message(), HasSubstr(std::to_string(port)));
  }
  close(fd);
  EXPECT_TRUE(CheckListenable({"127.0.0.1", port}).ok());
}

TEST(ListenAddressTest, RefusesAForeignAddress) {
  // TEST-NET-1 belongs to nobody.
  const absl::Status status = CheckListenable({"192.0.2.1", 0});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("192.0.2.1"));
}

}  // namespace
}  // namespace blockserve
