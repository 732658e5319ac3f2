import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

// The server reads manifest.json to learn the hashed names; it serves everything here under /assets/.
export default defineConfig({
  base: "/assets/",
  publicDir: false,
  plugins: [tailwindcss()],
  build: {
    assetsDir: "",
    outDir: "../mainstay_server/ui/assets",
    emptyOutDir: true,
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    // An inlined file would be a data: URL, which the content security policy refuses for fonts and scripts.
    assetsInlineLimit: 0,
    rolldownOptions: { input: { main: "src/main.ts", theme: "src/styles/main.css", mark: "src/images/mark.svg" } },
  },
});
