// What a fake worker's model writes: tokens that a test can predict.
#ifndef BLOCKSERVE_ROUTER_TESTING_FAKE_SEQUENCE_H_
#define BLOCKSERVE_ROUTER_TESTING_FAKE_SEQUENCE_H_

#include <cstdint>
#include <functional>

#include "blockserve/worker/v1/worker.pb.h"

namespace blockserve {

// The token at `position` of the completion.
using FakeTokenFunction = std::function<uint32_t(
    const worker::v1::GenerateCommand& command, int position)>;

// Depends on prompt, seed and position; never the end-of-text token 0.
uint32_t HashedToken(const worker::v1::GenerateCommand& command, int position);
// The prompt over and over.
uint32_t EchoedToken(const worker::v1::GenerateCommand& command, int position);

// Vocabulary 256, context 512, blocks of 4, end of text 0.
worker::v1::GetIdentityResponse FakeIdentity();

// One completion, written block by block as an engine does. Dies (CHECK) of
// resume_ids that are not what it would have written itself. The
// log-probability at a position depends on nothing else.
class FakeSequence {
 public:
  FakeSequence(const worker::v1::GenerateCommand& command,
               FakeTokenFunction token);

  // The rest of the block; with `done` if the completion ends there. Nothing
  // but `done` if resume_ids were all of it.
  worker::v1::RequestEvent Step();

 private:
  bool IsStop(uint32_t token) const;
  void AddToken(uint32_t token, worker::v1::RequestEvent* event) const;

  const worker::v1::GenerateCommand command_;
  const FakeTokenFunction token_;
  int num_tokens_ = 0;
};

// The answer to a score command: greedy decoding would write even ids only.
worker::v1::RequestEvent FakeScore(const worker::v1::ScoreCommand& command);

}  // namespace blockserve

#endif  // BLOCKSERVE_ROUTER_TESTING_FAKE_SEQUENCE_H_
