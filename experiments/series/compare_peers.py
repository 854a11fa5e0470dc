"""The forecaster of vic_elec beside neuralforecast's LSTM and gluonts' DeepAR.

    python -m venv peers && peers/bin/pip install torch==2.13.0 neuralforecast 'gluonts[torch]'
    python experiments/series/compare_peers.py vic_elec.csv --peer_python=peers/bin/python

Forecasts of 48 half-hours at midnight of the last 60 days, from 336 half-hours; two recurrent
layers of 64; all are scored by the same code (`lstm_jax.tasks.forecast_scores`). Every contestant
is a process of its own on one core, trained on as many windows (the peers also on the 60 days that
ours keeps for validation), one after the other, with demand alone and with temperature and holidays
of the day known. Seconds a thousand windows are those of the clock and of the CPU, of training
alone; ours has start and evaluations in the CPU's, since it evaluates while it trains. DeepAR gets
half as many windows again at a tenth of its rate, without which its forecast is worse than the
naive one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HORIZON, HISTORY, DAYS, SEASON = 48, 336, 60, 336
LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
KNOWN = ["Temperature", "Holiday"]
STEPS, BATCH = int(os.environ.get("STEPS", "800")), 64  # fewer to see that it runs


def main() -> None:
    """Runs all contestants and prints a table; or one of the peers, in its own Python."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", help="vic_elec.csv")
    parser.add_argument("--peer_python", help="a Python that has neuralforecast and gluonts")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds each is trained with")
    parser.add_argument("--core", type=int, default=0, help="the core that all are bound to")
    parser.add_argument("--output", type=Path, default=Path("peers"), help="a folder for results")
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--known", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not Path(options.path).is_file():
        parser.error(f"there is no file {options.path}")
    if options.peer_python and shutil.which(options.peer_python) is None:
        parser.error(f"--peer_python: there is no program {options.peer_python}")
    if options.core not in (cores := os.sched_getaffinity(0)):
        parser.error(f"--core: must be one of {', '.join(map(str, sorted(cores)))}")
    os.sched_setaffinity(0, {options.core})
    if options.peer:
        PEERS[options.peer](options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """All contestants in turn, with a line for each as it ends."""
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(options.seeds):
        for known in (False, True):
            for name in ("lstm_jax", *(PEERS if options.peer_python else ())):
                run = ours if name == "lstm_jax" else peer
                found = run(options, name, known, seed)
                rows.append({"name": name, "known": known, "seed": seed, **found})
                print(json.dumps(rows[-1]), flush=True)
                (options.output / "peers.json").write_text(json.dumps(rows, indent=2) + "\n")
    (options.output / "peers.md").write_text(table(rows))


def table(rows: list[dict]) -> str:
    """The rows as a table, the mean over seeds."""
    import numpy as np

    lines = ["| test | MASE | ND | quantile loss | covers | s / 1,000 windows, clock | CPU |"]
    lines.append("|---|---|---|---|---|---|---|")
    for known in (False, True):
        for name in dict.fromkeys(row["name"] for row in rows):
            own = [row for row in rows if (row["name"], row["known"]) == (name, known)]
            if not own:
                continue
            what = "temperature and holidays known" if known else "demand alone"
            names = ("mase", "nd", "quantile_loss", "coverage", "clock", "cpu")
            values = [np.mean([row[key] for row in own]) for key in names]
            texts = [f"{value:.{4 if 0 < i < 3 else 3}f}" for i, value in enumerate(values)]
            lines.append(f"| {name}, {what} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def ours(options: argparse.Namespace, name: str, known: bool, seed: int) -> dict:
    """The scores of our run, which the run computed itself."""
    del name
    with tempfile.TemporaryDirectory() as folder:
        config = "configs/series/vic_elec.py" + (":covariates" if known else "")
        command = [
            sys.executable, "-m", "lstm_jax.cli.main", "train", f"--config={config}",
            f"--config.data.path={options.path}", f"--workdir={folder}/run",
            f"--config.seed={seed}", f"--config.data.window_seed={seed}",
            f"--config.train.duration={STEPS} steps",
        ]  # fmt: skip
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        result = json.loads(Path(folder, "run", "result.json").read_text())
    thousands = STEPS * BATCH / 1000
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    scores = {key: result[f"test/{key}"] for key in ("mase", "nd", "quantile_loss", "coverage")}
    return scores | {"clock": result["seconds"] / thousands, "cpu": cpu / thousands}


def peer(options: argparse.Namespace, name: str, known: bool, seed: int) -> dict:
    """The scores of a peer's forecasts, which it leaves in a file."""
    import numpy as np

    from lstm_jax.tasks import forecast_scores

    with tempfile.TemporaryDirectory() as folder:
        command = [
            options.peer_python, __file__, options.path, f"--peer={name}", f"--seed={seed}",
            f"--core={options.core}", f"--output={folder}/out.npz", *(["--known"] * known),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise SystemExit(f"{name} failed: {last}")
        found = np.load(f"{folder}/out.npz")
        quantiles, clock, cpu, thousands = (
            found[key] for key in ("quantiles", "clock", "cpu", "thousands")
        )
    demand = np.genfromtxt(options.path, delimiter=",", skip_header=1, usecols=1)
    truth = demand[-DAYS * HORIZON :].reshape(DAYS, HORIZON)
    error = forecast_scores.seasonal_error(demand[: -DAYS * HORIZON], SEASON)
    scores = forecast_scores.score(truth, quantiles, np.full(DAYS, error), LEVELS)
    kept = {key: float(scores[key]) for key in ("mase", "nd", "quantile_loss", "coverage")}
    return kept | {"clock": float(clock / thousands), "cpu": float(cpu / thousands)}


def neuralforecast_lstm(options: argparse.Namespace) -> None:
    """Neuralforecast's LSTM with the same quantiles."""
    import numpy as np
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    table = read(options.path)
    if not options.known:
        table = table.drop(columns=KNOWN)
    model = LSTM(
        h=HORIZON,
        input_size=HISTORY,
        encoder_n_layers=2,
        encoder_hidden_size=64,
        decoder_hidden_size=64,
        loss=MQLoss(quantiles=LEVELS),
        max_steps=STEPS,
        learning_rate=1e-3,
        windows_batch_size=BATCH,
        scaler_type="standard",
        futr_exog_list=KNOWN if options.known else None,
        random_seed=options.seed + 1,
        **QUIET,
    )
    forecaster = NeuralForecast(models=[model], freq="30min")
    clock, cpu = time.perf_counter(), time.process_time()
    forecaster.fit(table.iloc[: -DAYS * HORIZON])
    spent = time.perf_counter() - clock, time.process_time() - cpu
    found = []
    for day in range(DAYS):  # each from what is before it, without training again
        end = len(table) - (DAYS - day) * HORIZON
        ahead = table.iloc[end : end + HORIZON].drop(columns="y") if options.known else None
        forecast = forecaster.predict(df=table.iloc[:end], futr_df=ahead)
        found.append(forecast.drop(columns=["unique_id", "ds"], errors="ignore").to_numpy())
    save(options, np.sort(np.stack(found), axis=-1), *spent, STEPS * BATCH)


def gluonts_deepar(options: argparse.Namespace) -> None:
    """DeepAR of gluonts, then on at a tenth of the rate."""
    import numpy as np
    import torch
    from gluonts.dataset.common import ListDataset
    from gluonts.torch import DeepAREstimator

    table = read(options.path)
    demand, known = table["y"].to_numpy(), table[KNOWN].to_numpy(dtype=np.float32).T

    def entries(ends: list[int], ahead: int) -> ListDataset:
        rows = []
        for end in ends:
            row = {"start": table["ds"].iloc[0], "target": demand[:end]}
            if options.known:
                row["feat_dynamic_real"] = known[:, : end + ahead]
            rows.append(row)
        return ListDataset(rows, freq="30min")

    def estimator(rate: float, steps: int) -> DeepAREstimator:
        return DeepAREstimator(
            freq="30min",
            prediction_length=HORIZON,
            context_length=HISTORY,
            num_layers=2,
            hidden_size=64,
            lr=rate,
            batch_size=BATCH,
            num_batches_per_epoch=50,
            num_feat_dynamic_real=len(KNOWN) if options.known else 0,
            trainer_kwargs={
                "max_epochs": steps // 50,
                **QUIET,
                "enable_checkpointing": True,  # it takes the best epoch's
                "default_root_dir": tempfile.gettempdir(),
            },
        )

    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    first = len(demand) - DAYS * HORIZON
    train = entries([first], 0)
    clock, cpu = time.perf_counter(), time.process_time()
    predictor = estimator(1e-3, STEPS).train(train)
    predictor = estimator(1e-4, STEPS // 2).train_from(predictor, train)
    spent = time.perf_counter() - clock, time.process_time() - cpu
    ends = [first + day * HORIZON for day in range(DAYS)]
    forecasts = predictor.predict(entries(ends, HORIZON), num_samples=100)
    quantiles = [[forecast.quantile(level) for level in LEVELS] for forecast in forecasts]
    save(options, np.array(quantiles).swapaxes(1, 2), *spent, STEPS * BATCH * 3 // 2)


PEERS = {"neuralforecast": neuralforecast_lstm, "gluonts": gluonts_deepar}
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "logger": False,
    "enable_model_summary": False,
}


def read(path: str):
    """The file as neuralforecast wants it, in the local time of the days."""
    import pandas as pd

    table = pd.read_csv(path)
    local = pd.date_range("2012-01-01", periods=len(table), freq="30min")
    columns = {"unique_id": "demand", "ds": local, "y": table["Demand"]}
    known = {"Temperature": table["Temperature"], "Holiday": table["Holiday"].astype(float)}
    return pd.DataFrame({**columns, **known})


def save(options: argparse.Namespace, quantiles, clock: float, cpu: float, windows: int) -> None:
    """What `peer` reads: quantiles [days, horizon, levels], and what training took."""
    import numpy as np

    assert quantiles.shape == (DAYS, HORIZON, len(LEVELS)), quantiles.shape
    np.savez(options.output, quantiles=quantiles, clock=clock, cpu=cpu, thousands=windows / 1000)


if __name__ == "__main__":
    main()
