// AMQP 1.0 by rhea: messages that are accepted, large ones, deliveries, new connections.
//
// In: `PORT ROUNDS`. Out: a line of JSON for each exchange, as `python/talk.py` says.

import rhea from "rhea";

const MESSAGES = 6;
// With its frames in what is taken of one system call.
const LARGE_BYTES = 60000;
const CONTAINER = "shop-e2e";

/**
 * @param {string} type
 * @param {string} resource
 * @param {object} more `us`, `way`, `reversed`
 */
function tell(type, resource, more = {}) {
  console.log(JSON.stringify({ type, resource, code: null, us: null, ...more }));
}

/** The next event of a name. */
function next(emitter, name) {
  return new Promise((resolve) => emitter.once(name, resolve));
}

async function send(sender, address, number) {
  const body = "m".repeat(number % 5 === 4 ? LARGE_BYTES : 100);
  const began = process.hrtime.bigint();
  sender.send({ body, message_id: `m-${number}` });
  await next(sender, "accepted");
  tell("transfer", address, { us: Number((process.hrtime.bigint() - began) / 1000n) + 1 });
}

/** Takes everything that was sent. */
async function receive(connection, address) {
  const receiver = connection.open_receiver({ source: address, credit_window: 100 });
  let left = MESSAGES;
  await new Promise((resolve) => receiver.on("message", () => {
    tell("transfer", address, { reversed: true });
    left -= 1;
    if (left === 0) resolve(undefined);
  }));
  tell("attach", address);
  // What was received is accepted when the library next writes.
  await new Promise((resolve) => setTimeout(resolve, 20));
  receiver.close();
  await next(receiver, "receiver_close");
  tell("detach", address);
}

async function talk(port, number) {
  const address = `/queue/orders-${number % 4}`;
  const connection = rhea.create_container({ id: CONTAINER }).connect({
    host: "127.0.0.1", port, username: "guest", password: "guest", reconnect: false,
  });
  await next(connection, "connection_open");
  tell("open", CONTAINER);
  const sender = connection.open_sender(address);
  await next(sender, "sendable");
  tell("begin", "");
  tell("attach", address);
  for (let each = 0; each < MESSAGES; each += 1) await send(sender, address, each);
  sender.close();
  await next(sender, "sender_close");
  tell("detach", address);
  await receive(connection, address);
  connection.close();
  await next(connection, "connection_close");
  tell("close", "");
}

const [port, rounds] = process.argv.slice(2).map(Number);
for (let number = 0; number < rounds; number += 1) await talk(port, number);
