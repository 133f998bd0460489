"""Making a job wrongly: both checkers must refuse each marked line, and no other."""

from declared import (
    count_stock,
    fetch_image,
    move_stock,
    post_mail,
    send_email,
    thumbnail,
    verify_email,
)

from headrace.pipeline import Job, JobContext

send_email.job()  # error: missing
send_email.job(to=3)  # error: wrong type
send_email.job("a@example.com", "Hi", "more")  # error: one too many
send_email.job("a@example.com", body="Hi")  # error: unknown name
send_email.job(subject="Hi")  # error: missing


def the_context_is_no_argument(context: JobContext) -> None:
    send_email.job(context, "a@example.com")  # error: the worker gives the context
    verify_email.job(context=context, address="a@example.com")  # error: the same by name


verify_email.job()  # error: missing
verify_email.job(address=None)  # error: wrong type
fetch_image.job(url=b"bytes")  # error: wrong type
fetch_image.job("https://example.com", timeout=3)  # error: unknown name
thumbnail.job("a.png", width="64")  # error: wrong type
thumbnail.job("a.png", 64, width=64)  # error: given twice
count_stock.job(1)  # error: takes nothing
move_stock.job("tea", 3)  # error: by name only
move_stock.job(item="tea")  # error: missing
post_mail.job()  # error: missing
post_mail.job(to=3)  # error: wrong type
post_mail.job(to="a@example.com", body="Hi")  # error: unknown name

number: Job[int] = send_email.job("a@example.com")  # error: its result is a str
awaited: Job[str] = fetch_image.job("https://example.com")  # error: its result is bytes
Job("email.send")  # error: jobs are made by their type
