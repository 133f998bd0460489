"""A first pipeline: one job type, and a script that submits jobs of it.

headrace up examples.hello:hello        # in one terminal
python -m examples.hello                # in another
"""

from headrace.pipeline import JobContext, Pipeline
from headrace.producers import Producer

hello = Pipeline("hello")


@hello.job("greeting.say")
def say(context: JobContext, name: str, times: int = 1) -> str:
    """Greet somebody."""
    greeting = " ".join([f"Hello, {name}!"] * times)
    context.log.info("greeted", greeting=greeting)
    return greeting


if __name__ == "__main__":
    with Producer(hello) as producer:
        receipts = producer.submit_many(say.job(name=name) for name in ("Ada", "Grace", "Edsger"))
        for receipt in receipts:
            print(receipt.job_id, receipt.confirm(timeout=10))
