#!/usr/bin/env bash
# Classes for a bucket of photographs on a Ray cluster, in three jobs. Each can be killed and
# submitted again: what is finished is found.
#
#   RAY_API_SERVER_ADDRESS=http://head:8265 ./ray-job.sh s3://bucket/photos s3://bucket/classes
set -euo pipefail
photographs=${1:?where the photographs are, such as s3://bucket/photos}
out=${2:?where everything goes, such as s3://bucket/classes}
here=$(cd "$(dirname "$0")" && pwd)
# part of the corpus that prototypes are fitted to, such as one folder or a few tar files of it
sample=${SAMPLE:-$photographs/part-000}
# a folder that the head node keeps between jobs
run=${RUN:-/tmp/primaps-run}

submit() {
  ray job submit --runtime-env "$here/ray-job.yaml" -- "$@"
}

# 1. features and mask proposals of a part, one worker per GPU, or per core where there is none
submit primaps proposals "$sample" --out "$out/proposals" --engine ray --shards on
# 2. prototypes, from an even sample of it: seconds to minutes of one machine
submit primaps fit "$out/proposals" --out "$run" --sample 5000 --classes 27
# 3. label maps of everything
submit primaps predict "$photographs" --model "$run" --out "$out/labels" --engine ray --shards on \
  --max-seconds 120 --max-failures 10000
