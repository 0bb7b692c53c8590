#!/usr/bin/env bash
# Ten one-class and ten left-out set-ups of a set, each by f-AnoGAN and GANomaly, one after the other:
# scripts/anomaly_setups.sh mnist runs/anomalies [SEED] [CLASS ...]
# Then: python scripts/anomaly_baselines.py mnist --runs runs/anomalies
set -euo pipefail
set_name=$1 runs=$2 seed=${3:-0}
shift $(($# < 3 ? $# : 3))
classes=${*:-0 1 2 3 4 5 6 7 8 9}
case $set_name in digits) of=Digits ;; mnist) of=MNIST ;; fashion_mnist) of=FashionMNIST ;; esac

# trained FOLDER OPTION ...: train with these options, unless it was; its run is $run.
trained() {
  local folder=$1; shift
  [ -e "$folder/done" ] || { ganlab fit --runs "$folder" --seed_everything "$seed" "$@" && touch "$folder/done"; }
  run=$(ls -d "$folder"/*/*/*-seed"$seed"* | tail -n 1)
}

for class in $classes; do
  for setup in OneClass:normal LeaveOut:abnormal; do
    data="{class_path: ${setup%:*}, init_args: {of: {class_path: $of, init_args: {size: 32}}, ${setup#*:}: [$class]}}"
    place=$runs/seed$seed/${setup%:*}-$class
    trained "$place/first" --config "experiments/$set_name/left_out.yaml" --data "$data"
    trained "$place/f-anogan" --config "experiments/$set_name/encoder.yaml" --data "$data" \
      --model.generator.init_args.decoder.init_args.path "$run" \
      --model.discriminator.init_args.network.init_args.path "$run"
    [ -e "$place/f-anogan/found" ] || ganlab anomaly "$run" --count 500 --out "$place/f-anogan/found"
    trained "$place/ganomaly" --config "experiments/$set_name/ganomaly.yaml" --data "$data"
    [ -e "$place/ganomaly/found" ] || ganlab anomaly "$run" --count 500 --out "$place/ganomaly/found"
  done
done
