// The text of a log event: event=NAME key=value ..., one line whatever the
// values hold, so that logs can be read by machines and grepped by people.
#ifndef BLOCKSERVE_RUNTIME_SERVING_LOG_LINE_H_
#define BLOCKSERVE_RUNTIME_SERVING_LOG_LINE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace blockserve {

// LOG(INFO) << LogLine("request_done", {{"request_id", id}, {"tokens", 7}}):
// event=request_done request_id=a-1 tokens=7. A value with anything but
// letters, digits and ._:/+-[]@, is put in quotes, control characters are
// escaped and long values cut.
class LogLine {
 public:
  // Converts numbers as StrCat.
  struct Value {
    Value(absl::string_view text) : text(text) {}       // NOLINT: implicit
    Value(std::string_view text) : text(text) {}        // NOLINT: implicit
    Value(const char* text) : text(text) {}             // NOLINT: implicit
    Value(std::string text) : text(std::move(text)) {}  // NOLINT: implicit
    template <typename T>
    Value(const T& number) : text(absl::StrCat(number)) {}  // NOLINT
    std::string text;
  };
  using Fields = std::vector<std::pair<absl::string_view, Value>>;

  explicit LogLine(absl::string_view event, const Fields& fields = {});

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

template <typename Stream>
Stream& operator<<(Stream& stream, const LogLine& line) {
  stream << line.text();
  return stream;
}

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_SERVING_LOG_LINE_H_
