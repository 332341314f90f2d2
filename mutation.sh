#!/usr/bin/env bash
# Mutates the drivers or the rules, and lists what no test notices. Too long for ./check.
#
#   ./mutation.sh drivers|rules [SHARD]     SHARD as 0/10: every tenth mutant, from the first on
#
# A mutant goes to the unit tests of its crate, which are quick, and what they miss to the tests
# that need the whole of loopback. tests/mutation.md says what came of it, and has the survivors
# with their reasons.
set -euo pipefail
cd "$(dirname "$0")"

part=${1:-}
shard=${2:-0/1}
case $part in
drivers)
    package=eclipse-kernel
    files=('guest-kernel/src/pci/**' guest-kernel/src/dma.rs 'guest-kernel/src/virtio/**')
    # The mistakes that the feature `mutants` is for are not in the ordinary drivers.
    excluded='mutated_next|replace mutate '
    unit=(pci:: dma virtio::)
    loopback=(defects fault_verdicts guest_blk legacy loopback machines msix packed_events pci_intx
        servers shared_blk transfers transport)
    ;;
rules)
    package=eclipse-trace
    files=('trace/src/rules/**')
    # How a rule prints is no judgement.
    excluded='impl .*(Debug|Display)'
    unit=(rules)
    loopback=(foreign_drivers witness watch)
    ;;
*)
    echo "usage: ./mutation.sh drivers|rules [SHARD]" >&2
    exit 2
    ;;
esac
command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants --version 27.1.0

out=target/mutation/$part-${shard/\//-of-}
mkdir -p "$out"
# Nobody debugs a mutant, and each is compiled once.
export CARGO_PROFILE_{TEST,DEV}_DEBUG=0 CARGO_INCREMENTAL=0

# What cargo is to build is said by --cargo-arg: what stands behind -- it hears for the run only.
# Exit codes 2 and 3 say that mutants survived, or ran into the time limit.
mutate() { # OUTPUT ARGUMENT...
    local code=0 to=$1
    shift
    nice -n 10 cargo mutants --jobs 1 --timeout 120 --build-timeout 1800 --colors never \
        --package "$package" --output "$to" --exclude-re "$excluded" "$@" || code=$?
    case $code in 0 | 2 | 3) ;; *) exit "$code" ;; esac
}

# The lines of a file that only a driver with the feature `mutants` reaches.
unreached() { # FILE
    awk '/mutated!/ { print FNR }
        depth > 0 { print FNR }
        depth > 0 || /(^|[ (])if mutated!/ {
            line = $0
            depth += gsub(/{/, "", line) - gsub(/}/, "", line)
        }' "$1"
}

count() { # FILE...
    cat "$@" 2>/dev/null | wc -l
}

selected=()
for file in "${files[@]}"; do selected+=(--file "$file"); done
mutate "$out/unit" "${selected[@]}" --sharding round-robin --shard "$shard" \
    --test-package "$package" --cargo-arg=--lib -- -- "${unit[@]}"

missed=()
: >"$out/missed.txt"
while read -r mutant; do
    file=${mutant%%:*} line=${mutant#*:}
    if unreached "$file" | grep -qx "${line%%:*}"; then
        echo "$mutant"
    else
        echo "$mutant" >>"$out/missed.txt"
        missed+=(--re "^$(sed 's/[][\.*^$(){}?+|/]/\\&/g' <<<"$mutant")\$")
    fi
done <"$out/unit/mutants.out/missed.txt" >"$out/unreached.txt"

missed_files=()
for file in $(cut -d: -f1 "$out/missed.txt" | sort -u); do missed_files+=(--file "$file"); done
tests=()
for test in "${loopback[@]}"; do tests+=(--cargo-arg="--test=$test"); done
if [ ${#missed[@]} -gt 0 ]; then
    # A machine that is not optimised runs longer than the compiler.
    export CARGO_PROFILE_{TEST,DEV}_OPT_LEVEL=1
    # Its tests are another package's than the mutants', which is where a baseline would be.
    mutate "$out/loopback" "${missed_files[@]}" "${missed[@]}" --baseline skip \
        --test-package eclipse-tests --no-default-features "${tests[@]}"
fi

# cargo-mutants 27.1 does not apply --re to fields that it deletes: what was not asked for is left out.
units=$out/unit/mutants.out survivors=$out/survivors.txt
grep -Fxf "$out/missed.txt" "$out/loopback/mutants.out/missed.txt" >"$survivors" 2>/dev/null || true
echo "caught by unit tests      $(count "$units"/{caught,timeout}.txt)"
echo "caught in loopback        $(($(count "$out/missed.txt") - $(count "$survivors")))"
echo "survived                  $(count "$survivors")"
echo "not in the ordinary build $(count "$out/unreached.txt")"
echo "do not compile            $(count "$units/unviable.txt")"
cat "$survivors"
