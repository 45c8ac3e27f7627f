import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The door serves dist/ at / and what has a hash in its name below /assets.
export default defineConfig({
  resolve: {
    alias: { "@throng-gg/client": fileURLToPath(new URL("../sdk/ts/src/index.ts", import.meta.url)) },
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy has no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { "/v1": { target: process.env["THRONG_ADDR"] ?? "http://127.0.0.1:7700", ws: true } },
  },
});
