import { expect, test } from "vitest";
import { timeLeft } from "../src/terminal/progress.ts";

test("the time that is left is unknown until a second of the run has passed", () => {
  expect(timeLeft(500, 10, 100)).toBe("…");
  expect(timeLeft(5_000, 0, 100)).toBe("…");
});

test("the time that is left follows from the whole run", () => {
  expect(timeLeft(2_000, 20, 100)).toBe("8 s left");
  expect(timeLeft(60_000, 10, 100)).toBe("9 min 0 s left");
  expect(timeLeft(60_000, 100, 100)).toBe("0 s left");
});

test("the time that is left does not jump if steps end in groups", () => {
  // Ten steps a second on average, which end five at a time and 20 ms apart.
  const seconds: number[] = [];
  for (let step = 1; step <= 250; step++) {
    const elapsed = Math.ceil(step / 5) * 500 + (step % 5) * 20;
    seconds.push(Number.parseInt(timeLeft(elapsed, step, 250), 10));
  }
  const steps = seconds.slice(50).map((left, index) => Math.abs(left - seconds[index + 49]!));
  expect(Math.max(...steps)).toBeLessThanOrEqual(3);
});
