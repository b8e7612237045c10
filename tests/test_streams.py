import threading
import time

import pytest
import torch

from lmia.streams import Streams, streams


def test_results_come_in_the_order_asked_and_without_gradients():
    def work(i):
        time.sleep(0.02 * (i % 3))
        return i, torch.is_grad_enabled(), threading.current_thread().name

    with streams(2) as two:
        results = [two.run(work, i) for i in range(12)]
        found = [result() for result in results]
    assert [i for i, _, _ in found] == list(range(12))
    assert not any(grad for _, grad, _ in found)
    assert 1 <= len({name for _, _, name in found}) <= 2


def test_no_streams_run_at_once_in_the_callers_thread():
    seen = []
    result = Streams(0).run(seen.append, threading.get_ident())
    assert seen == [threading.get_ident()]
    assert result() is None


def test_only_so_many_are_ahead():
    started, go = [], threading.Event()

    def work(i):
        started.append(i)
        go.wait(5)

    with streams(2) as two:
        caller = threading.Thread(target=lambda: [two.run(work, i) for i in range(20)])
        caller.start()
        time.sleep(0.2)
        assert len(started) <= 2
        assert caller.is_alive()
        go.set()
        caller.join(5)
        assert not caller.is_alive()


def test_an_exception_comes_with_the_result():
    with streams(1) as one:
        result = one.run(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            result()


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with streams(16):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_what_follows_runs_at_once_without_streams_and_when_asked_with_them():
    order = []
    alone = Streams().then(lambda: order.append("alone") or 1)
    assert order == ["alone"]
    assert alone() == 1
    with streams(2) as two:
        later = two.then(lambda: order.append("later") or 2)
        assert order == ["alone"]
        assert later() == 2
    assert order == ["alone", "later"]
