"""What is compared: a shape, our model, and the peers that run the same one."""

import dataclasses

AUTHORS = "authors_block"
HUGGING_FACE = "hf_vanilla"
VLLM = "vllm_vanilla"

PEER_NAMES = {
    AUTHORS: "authors' PyTorch code",
    HUGGING_FACE: "Hugging Face transformers",
    VLLM: "vLLM, CPU build",
}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    model: str  # of `blockserve bench engine --random`
    prefill: int
    decode: int
    batch: int
    # Least ratio, ours over the peer's, that we hold ourselves to; None: no goal.
    goals: dict[str, float | None]

    def shape_flags(self):
        return [
            f"--prefill={self.prefill}",
            f"--decode={self.decode}",
            f"--batch={self.batch}",
        ]

    def peer_model(self):
        return self.model.removeprefix("block_main_")


CASES = [
    Case("block_1", "block_main_b4_85", 128, 128, 1, {AUTHORS: 4.5}),
    Case("block_64", "block_main_b4_85", 128, 128, 64, {AUTHORS: 3.8}),
    Case("block_256", "block_main_b4_85", 128, 256, 256, {AUTHORS: 3.8}),
    Case("block_prompts", "block_main_b4_85", 1024, 128, 32, {AUTHORS: 4.5}),
    Case("block_1.2b", "block_main_b4_1.2b", 128, 64, 32, {AUTHORS: 2.5}),
    Case("vanilla_1", "vanilla_160", 128, 128, 1, {HUGGING_FACE: None, VLLM: 2.5}),
    Case("vanilla_64", "vanilla_160", 128, 128, 64, {HUGGING_FACE: None, VLLM: None}),
    Case("vanilla_long", "vanilla_160", 128, 512, 64, {VLLM: 1.8}),
]
