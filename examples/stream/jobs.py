"""The jobs: payments that a bank may refuse, and warnings that the stream submits."""

from headrace.pipeline import Pipeline, Queue, Reject

payments = Pipeline("payments", queues=[Queue("default", priorities=("normal",))])


@payments.job("payment.charge")
async def charge(customer: str, cents: int) -> str:
    if cents > 100_000:
        raise Reject(f"the bank refuses {cents} cents of {customer}")
    return f"{customer} paid {cents}"


@payments.job("customer.warn")
async def warn(customer: str, failures: int, since: int) -> str:
    return f"{customer}: {failures} payments failed since {since}"
