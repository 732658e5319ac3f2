// An API in Node that knows nothing of keys and limits: nginx and Mainstay guard it.
import { createServer } from "node:http";

const port = Number(process.env.PORT ?? 3000);

createServer((request, response) => {
  const owner = request.headers["x-mainstay-owner"] || "nobody";
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ path: request.url, owner, key: request.headers["x-mainstay-key-id"] ?? "" }));
}).listen(port, "127.0.0.1");
