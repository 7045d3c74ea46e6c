// A saga over three services: if one refuses, what the others did is undone, in reverse order, also after a crash.
import { defineTask, TaskQueue, TaskWorker, UnrecoverableError } from "@taskloom/queue";
import { defineWorkflow, step, undoing } from "@taskloom/workflow";

const flight = defineTask({ name: "flight.book" }, async (to: string) => `flight to ${to}`);
const flightBack = defineTask({ name: "flight.cancel", attempts: 20 }, async (booking: string) =>
  console.log(`undo: ${booking}`),
);
const hotel = defineTask({ name: "hotel.book" }, async (town: string) => `hotel in ${town}`);
const hotelBack = defineTask({ name: "hotel.cancel", attempts: 20 }, async (booking: string) =>
  console.log(`undo: ${booking}`),
);
const car = defineTask({ name: "car.book" }, async (town: string) => {
  if (town === "Venice") throw new UnrecoverableError("no cars in Venice");
  return `car in ${town}`;
});

export const trip = defineWorkflow({ name: "trip" }, function* (town: string) {
  return yield* undoing(function* (undo) {
    const outward = yield* step(flight, town);
    undo(() => step(flightBack, outward));
    const room = yield* step(hotel, town);
    undo(() => step(hotelBack, room));
    const wheels = yield* step(car, town);
    return [outward, room, wheels].join(", ");
  });
});

export async function main(): Promise<void> {
  const engine = "memory:";
  await using worker = new TaskWorker({ engine, tasks: [trip, flight, flightBack, hotel, hotelBack, car] });
  worker.run().then(undefined, () => {});
  await using queue = new TaskQueue({ engine });
  console.log(await queue.submit(trip, "Rome"));
  try {
    await queue.submit(trip, "Venice");
  } catch (error) {
    console.log((error as Error).message);
  }
}

if (import.meta.main) await main();
