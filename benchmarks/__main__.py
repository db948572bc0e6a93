"""All measurements, one after the other: ``python -m benchmarks``."""

from benchmarks import counting, inference


def main() -> None:
    for module in (inference, counting):
        print(f"== {module.__name__} ==", flush=True)
        module.main()


if __name__ == "__main__":
    main()
