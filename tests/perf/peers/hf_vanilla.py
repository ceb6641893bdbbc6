#!/usr/bin/env python3
"""Hugging Face transformers on a CPU: vanilla GPT-NeoX 160M, random weights.

  hf_vanilla.py --prefill=128 --decode=128 --batch=64 --threads=2
"""

import measure

MODELS = ["vanilla_160"]


def load_model(shape):
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.set_num_threads(shape.threads)
    torch.manual_seed(measure.SEED)
    config = GPTNeoXConfig(
        vocab_size=measure.VOCAB_SIZE,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        rotary_pct=0.25,
        max_position_embeddings=shape.prefill + shape.decode,
        use_parallel_residual=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    model = GPTNeoXForCausalLM(config).to(torch.bfloat16).eval()
    model.generation_config.eos_token_id = None
    return model


def main():
    shape = measure.parse_shape(__doc__, MODELS).parse_args()
    with measure.quiet_stdout():
        import torch
        import transformers

        model = load_model(shape)
        prompts = torch.randint(
            2, measure.VOCAB_SIZE, (shape.batch, shape.prefill)
        )
        mask = torch.ones_like(prompts)

        def generate():
            with torch.inference_mode():
                output = model.generate(
                    prompts,
                    attention_mask=mask,
                    max_length=shape.prefill + shape.decode,
                    do_sample=False,
                )
            return [len(row) - shape.prefill for row in output]

        rates = measure.tokens_per_second(generate, shape)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    measure.report("hf_vanilla", shape, rates, versions)


if __name__ == "__main__":
    main()
