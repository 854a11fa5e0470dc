"""A picture of where a decoder looks."""

from pathlib import Path

from lstm_jax.tasks.translator import Translator


def draw_attention(translator: Translator, source: str, path: Path) -> None:
    """Draws the weights of attention for a source and its translation, a row for each symbol.

    Args:
      translator: what translates.
      source: the text.
      path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tokenizer = translator.tokenizer
    read = tokenizer.encode(source).ids
    (found,) = translator.translate_ids([read])
    weights = translator.attention(read, found)
    columns = [tokenizer.decode([i]) for i in read]
    rows = [*(tokenizer.decode([i]) for i in found), "END"]
    size = 2 + 0.25 * len(columns), 1.5 + 0.25 * len(rows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [_visible(text) for text in columns], rotation=90)
    axes.set_yticks(range(len(rows)), [_visible(text) for text in rows])
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    figure.savefig(path, dpi=110)


def _visible(symbol: str) -> str:
    """A symbol as a label: dollars would be mathematics, and spaces and controls not seen."""
    symbol = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in symbol)
    return symbol.replace("$", r"\$").replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
