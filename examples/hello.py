"""Run `headrace up examples.hello:hello`; then, in another terminal, `python -m examples.hello`."""

from headrace.pipeline import JobContext, Pipeline
from headrace.producers import Producer

hello = Pipeline("hello")


@hello.job("greeting.say")
def say(context: JobContext, name: str) -> str:
    context.log.info("greeting", name=name)
    return f"Hello, {name}!"


if __name__ == "__main__":
    with Producer(hello) as producer:
        for name in ("Ada", "Grace", "Edsger"):
            receipt = producer.submit(say.job(name=name))
            print(f"{name}: headrace jobs show examples.hello:hello {receipt.job_id}")
